"""The simulated survey in the place of an observed one: without the cards that tell the two apart."""

import shutil


def as_observed(survey, folder):
    """Copy a simulated survey's catalog and spectra, with a comment in the place of each card SIMULATE."""
    for source in [survey / "allStar.fits", survey / "mystery.fits", *survey.glob("apStar/*/*.fits")]:
        path = folder / source.relative_to(survey)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes().replace(b"SIMULATE=", b"COMMENT  "))
        shutil.copystat(source, path)
    return folder
