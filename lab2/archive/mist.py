"""MIST isochrones from the project's web form, kept in data/isochrones/."""

import io
import re
import zipfile
from urllib.parse import urljoin, urlsplit

import numpy as np
import requests
from astropy import units as u
from astropy.table import QTable, Table
from bs4 import BeautifulSoup

from lab2 import manifest, paths
from lab2.archive.hosts import base_url
from lab2.archive.web import TIMEOUT, ArchiveError, RefusedError, TransientError, accept, retrying, session, words

__all__ = ["isochrone"]

VERSION, ROTATION = "1.2", 0.4
ATTEMPTS = 3
LIMIT = 50_000_000  # bytes, packed and unpacked
_COLUMNS = {"log_Teff", "log_g", "log_L", "initial_mass", "EEP"}


def isochrone(age_gyr, feh):
    """An isochrone of MIST v1.2 with v/v_crit = 0.4, from data/isochrones/ or else from the web form.

    The form answers with a page that links a packed text file. Its header must say what was asked for, and the
    file is kept as ECSV, written whole or not at all.

    Parameters
    ----------
    age_gyr : float
        Age in Gyr.
    feh : float
        Initial [Fe/H] in dex.

    Returns
    -------
    astropy.table.QTable
        In evolutionary order: `eep`, `initial_mass` [Msun], `teff` [K], `logg` [dex(cm/s2)], `log_luminosity`
        [dex(Lsun)].

    Raises
    ------
    ArchiveError
        If the form cannot be reached, refuses, or sends something else.

    References
    ----------
    MIST web interpolator, iso_form.php (its fields); Choi et al. 2016, ApJ 823, 102; Dotter 2016, ApJS 222, 8.
    """
    path = paths.home() / "data" / "isochrones" / f"mist_v{VERSION}_{age_gyr:g}gyr_feh{feh:+g}.ecsv"
    if not path.is_file():
        text = retrying(ATTEMPTS)(_ask, age_gyr, feh)
        table = _parsed(text, age_gyr, feh)
        with paths.replacing(path) as part:
            table.write(part, format="ascii.ecsv")
    return QTable.read(path, format="ascii.ecsv")


def _ask(age_gyr, feh):
    """The text of the isochrone."""
    form = base_url("LAB2_MIST_URL") + "/iso_form.php"
    wanted = {
        "version": VERSION,
        "v_div_vcrit": f"vvcrit{ROTATION}",
        "age_scale": "linear",
        "age_type": "single",
        "age_value": f"{age_gyr * 1e9:.8g}",
        "FeH_value": f"{feh:g}",
        "output_option": "theory",
        "theory_output": "basic",
        "Av_value": "0",
    }
    try:
        with session() as http:
            page = _body(http.post(form, data=wanted, stream=True, timeout=TIMEOUT)).decode(errors="replace")
            link = BeautifulSoup(page, "html.parser").find("a", href=re.compile(r"\.zip$"))
            if link is None:
                raise RefusedError(
                    f"MIST's form ({form}) gave no isochrone of {age_gyr:g} Gyr and {feh:+g}: {words(page)}"
                )
            url = urljoin(form, link["href"])
            if urlsplit(url)[:2] != urlsplit(form)[:2]:
                raise RefusedError(f"MIST's form ({form}) links to another server, which is not followed: {url}")
            packed = _body(http.get(url, stream=True, timeout=TIMEOUT))
    except requests.RequestException as error:
        raise TransientError(f"MIST ({form}) gave no answer: {error}") from error
    return _unpacked(packed, url)


def _body(response):
    """All of a response, within the limit."""
    with response:
        accept(response)
        body = b""
        for chunk in response.iter_content(1 << 16):
            body += chunk
            if len(body) > LIMIT:
                raise RefusedError(f"{response.url}: larger than {LIMIT / 1e6:.0f} MB, which no isochrone is")
    return body


def _unpacked(packed, url):
    """The one isochrone in an archive; nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            (member,) = [item for item in archive.infolist() if item.filename.endswith(".iso")]
            if member.file_size > LIMIT:
                raise RefusedError(f"{url} unpacks to {member.file_size / 1e6:.0f} MB, which no isochrone has")
            return archive.read(member).decode("ascii")
    except (zipfile.BadZipFile, ValueError) as error:
        raise TransientError(f"{url} is no archive with one isochrone in it ({error})") from error


def _parsed(text, age_gyr, feh):
    """The isochrone as a table, if it is the one that was asked for."""
    values = re.search(r"^#\s+Yinit.*\n#\s+\S+\s+\S+\s+(\S+)\s+\S+\s+(\S+)", text, re.MULTILINE)
    version = re.search(r"MIST version number\s*=\s*(\S+)", text)
    header = [line for line in text.splitlines() if line.startswith("#") and "EEP " in f"{line} "]
    if values is None or version is None or not header:
        raise ArchiveError(f"MIST sent something that is no isochrone: {text[:100]!r}")
    names = header[-1].lstrip("# ").split()
    if missing := _COLUMNS - set(names):
        raise ArchiveError(f"MIST's isochrone has no column {', '.join(sorted(missing))}; it has {', '.join(names)}")
    table = Table.read(text, format="ascii.no_header", names=names, comment="#")
    age = table["isochrone_age_yr"] if "isochrone_age_yr" in names else 10 ** table["log10_isochrone_age_yr"]
    got = (float(np.mean(age)) / 1e9, float(values[1]), float(values[2]))
    if not np.allclose(got, (age_gyr, feh, ROTATION), rtol=1e-3, atol=0.006):
        raise ArchiveError(
            f"MIST was asked for {age_gyr:g} Gyr, [Fe/H] = {feh:+g}, v/v_crit = {ROTATION}, and sent {got[0]:g} Gyr, "
            f"{got[1]:+g}, {got[2]:g}"
        )
    if not (np.diff(table["EEP"]) > 0).all():
        raise ArchiveError("MIST's isochrone is not in the order of its EEPs")
    result = QTable()
    result["eep"] = table["EEP"].astype(int)
    result["initial_mass"] = table["initial_mass"] * u.Msun
    result["teff"] = 10 ** table["log_Teff"] * u.K
    result["logg"] = u.Dex(table["log_g"], u.dex(u.cm / u.s**2))
    result["log_luminosity"] = u.Dex(table["log_L"], u.dex(u.Lsun))
    result.meta = {
        "source": f"{base_url('LAB2_MIST_URL')}/iso_form.php",
        "version": version[1],
        "references": ["Dotter 2016, ApJS 222, 8", "Choi et al. 2016, ApJ 823, 102"],
        "age_gyr": age_gyr,
        "feh": feh,
        "rotation": f"v/v_crit = {ROTATION}",
        "fetched": manifest.now(),
    }
    return result
