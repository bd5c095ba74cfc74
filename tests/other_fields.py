"""A survey of other fields, without the stars that the handout names."""

import shutil

import numpy as np
from astropy.table import Table

from lab2 import catalog


def with_other_fields(survey, data, name, fields):
    """Copy a survey into data/<name>: named stars dropped, its fields renamed as `fields` says, others left out.

    The spectra are links. LAB2_HOME has to be the folder above `data`.
    """
    folder = data / name
    folder.mkdir(parents=True)
    for file in ("mystery.fits", "truth.ecsv"):
        shutil.copy(survey / file, folder / file)
    table = Table.read(survey / "allStar.fits")
    old = np.char.strip(np.asarray(table["FIELD"], dtype=str))
    named = np.isin(np.char.strip(np.asarray(table["APOGEE_ID"], dtype=str)), [catalog.EXAMPLE, catalog.PREDICTED])
    keep = np.isin(old, list(fields)) & ~named
    table = table[keep]
    table["FIELD"] = [fields[field] for field in old[keep]]
    table.write(folder / "allStar.fits")
    wanted = set(np.char.strip(np.asarray(table["APOGEE_ID"], dtype=str)))
    for before, after in fields.items():
        (folder / "apStar" / after).mkdir(parents=True, exist_ok=True)
        for path in (survey / "apStar" / before).glob("*.fits"):
            if path.stem.removeprefix("apStar-dr17-") in wanted:
                (folder / "apStar" / after / path.name).symlink_to(path)
    catalog.adopt(name)
    return folder
