"""The stars of the survey: giants that pass the cuts on the catalog, and stars that the cuts remove."""

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack

from lab2.catalog import StarFlag
from lab2.labels import label_names
from lab2.simulate import oddities, pipeline, visits
from lab2.simulate.population import FIELDS, M15_MEMBERS, METAL_POOR, draw_dwarfs, draw_giants, labels_of

__all__ = ["NAMED", "draw_survey", "mystery_star"]

# Stars that the lab handout names, by field: that of checkpoint 1, and an ordinary giant.
NAMED = {"M15": "2M21235315+1244123", "K2_C4_168-21": "2M03533659+2512012"}
# That of checkpoint 1 according to its apStar file in SDSS DR17, with its visits and its labels of the radial-velocity
# pipeline.
EXAMPLE_HEADER = {
    "ra": 320.971464, "dec": 12.736775, "j": 10.969, "h": 10.379, "k": 10.258, "ak": 0.0404,
    "n_visits": 2, "snr": 212.0425, "velocity": -143.2591, "plate": 6951, "fiber": 225,
    "RV_TEFF": 4822.87, "RV_LOGG": 2.8513, "RV_FEH": -0.7276,
}  # fmt: skip
EXAMPLE_VISITS = {
    "visit_jd": (2456837.87876, 2456838.88916), "visit_snr": (149.1635, 151.0489),
    "visit_v": (-143.233192, -143.284683), "visit_verr": (0.038203, 0.037785),
}  # fmt: skip
# Its true labels: those of ASPCAP for giants of DR17 with similar labels of the radial-velocity pipeline
# (`lab2.simulate.pipeline.rv_labels`); [Mg/Fe] and [Si/Fe] are typical of its [Fe/H].
EXAMPLE_LABELS = (4660.0, 2.2, -0.60, 0.25, 0.20)
NAMED_SNR = 170.0
ORDINARY = (4650.0, 2.2, -0.25, 0.08, 0.06)
# Labels of the mystery star.
MYSTERY = (4550.0, 2.0, -0.65, 0.30, 0.20)
# Far from the plates of the survey.
MYSTERY_PLATE = visits.FIRST_PLATE + 900
_SPREAD = (200.0, 0.5, 0.25, 0.1, 0.1)

# Number of additional rows of each kind, per giant that the cuts keep.
DWARFS, FAINT, POOR, M15_POOR, UNLABELED = 0.30, 0.10, 0.025, 0.06, 0.03
# Fraction of stars with a second row.
SECOND = 1 / 60
FAINT_H = (13.6, 14.8)


def draw_survey(seed: int, n_stars: int) -> tuple[Table, Table]:
    """Draw the stars of all fields.

    Parameters
    ----------
    seed : int
    n_stars : int
        Distinct stars that pass the cuts of problem 1.

    Returns
    -------
    selected : astropy.table.Table
        The `n_stars` giants, with true labels, catalog columns and `oddity`.
    rows : astropy.table.Table
        All rows of the catalog: the selected stars, the other stars and second rows.
    """
    selected, others = [], []
    for i, (field, n) in enumerate(zip(FIELDS, _shares(n_stars), strict=True)):
        rng = np.random.default_rng([seed, 0, i])
        giants = _collect(rng, field, n, draw_giants, _passes)
        if field.name == "M15":
            giants = vstack([_example_star(np.random.default_rng([seed, 6]), field), giants[1:]])
        elif field.name in NAMED:
            _name_one(giants, NAMED[field.name])
        selected.append(giants)
        others.extend(_others(rng, field, n))
    selected = vstack(selected)
    rng = np.random.default_rng([seed, 1])
    named = np.isin(selected["apogee_id"], list(NAMED.values()))
    oddities.assign(rng, selected, np.flatnonzero(~named))
    others = vstack(others)
    others["oddity"] = ""
    for stars in (selected, others):
        _complete(rng, stars)
    first = vstack([selected, others])
    _add_visits(np.random.default_rng([seed, 7]), first)
    selected = first[:n_stars]
    repeatable = np.flatnonzero((selected["snr"] > 80) & ~named)
    n_second = min(max(2, round(SECOND * n_stars)), len(repeatable))
    repeated = selected[np.sort(rng.choice(repeatable, n_second, replace=False))]
    second = pipeline.second_rows(rng, repeated, {field.name: field.neighbor for field in FIELDS})
    _add_visits(np.random.default_rng([seed, 8]), second)
    return selected, vstack([first, second])


def mystery_star(seed: int) -> Table:
    """The mystery star: one row like those of `draw_survey`, but not in the catalog."""
    rng = np.random.default_rng([seed, 4])
    # Most of its chemistry is that of a random giant of a field; labels and some abundances are set.
    star = draw_giants(rng, FIELDS[0], 1)
    for name, value in zip(label_names(), MYSTERY, strict=True):
        star[name] = value
    for name, value in (("c_fe", -0.05), ("n_fe", 0.20), ("o_fe", 0.30), ("vmicro", 1.6), ("vmacro", 4.3)):
        star[name] = value
    star["radius"] = np.nan
    pipeline.observe(rng, FIELDS[0], star)
    pipeline.aspcap(rng, star)
    star["apogee_id"], star["oddity"], star["n_visits"] = "MYSTERY", "", 1
    _set_snr(star, 0, 350.0)
    _complete(rng, star)
    _add_visits(np.random.default_rng([seed, 9]), star, MYSTERY_PLATE)
    return star


def _shares(n_stars):
    """Number of stars in each field: proportional to its share, at least one, with the sum `n_stars`."""
    exact = np.cumsum([field.share for field in FIELDS]) * n_stars
    return np.diff(np.round(np.r_[0, exact])).astype(int)


def _passes(stars):
    """The cuts of problem 1 on catalog labels."""
    return (stars["snr"] >= 50) & (stars["LOGG"] <= 4) & (stars["TEFF"] <= 5700) & (stars["FE_H"] >= -1)


def _collect(rng, field, n, draw, wanted, **options):
    """Draw and observe stars until `n` are accepted."""
    rounds, found = [], 0
    while found < n:
        stars = draw(rng, field, n + 20)
        pipeline.observe(rng, field, stars, **options)
        pipeline.aspcap(rng, stars)
        rounds.append(stars[wanted(stars)])
        found += len(rounds[-1])
    return vstack(rounds)[:n]


def _others(rng, field, n):
    """Stars of one field that the cuts remove, at least one of each kind."""

    def count(share):
        return max(1, round(share * n))

    def fails(stars):
        return ~_passes(stars)

    def members(population):
        return lambda rng, field, n: draw_giants(rng, field, n, (population,))

    dwarfs = _collect(rng, field, count(DWARFS), draw_dwarfs, fails)
    faint = _collect(rng, field, count(FAINT), draw_giants, lambda stars: stars["snr"] < 50, h_range=FAINT_H)
    poor = [_collect(rng, field, count(POOR), members(METAL_POOR), fails)]
    if field.name == "M15":
        poor.append(_collect(rng, field, count(M15_POOR), members(M15_MEMBERS), fails))
    unlabeled = _collect(rng, field, count(UNLABELED), draw_giants, _passes)
    columns = [c for c in unlabeled.colnames if c.isupper() and not c.endswith("FLAG")]
    for row in range(len(unlabeled)):
        if row % 2 == 0:
            # NO_ASPCAP_RESULT: no label at all
            unlabeled["ASPCAPFLAG"][row] = 1 << 31
            missing = columns
        else:
            missing = [c for c in columns if c.startswith(("SI_FE", "MG_FE"))]
        for column in missing:
            unlabeled[column][row] = np.nan
    return [dwarfs, faint, *poor, unlabeled]


def _example_star(rng, field):
    """The star of checkpoint 1, ready for `_complete`; abundances that are not labels are those of a similar giant."""
    stars = draw_giants(rng, field, 400)
    distance = np.sum(((labels_of(stars) - EXAMPLE_LABELS) / _SPREAD) ** 2, axis=1)
    row = int(np.argmin(distance))
    star = stars[row : row + 1]
    for name, value in zip(label_names(), EXAMPLE_LABELS, strict=True):
        star[name] = value
    star["radius"] = np.nan
    pipeline.observe(rng, field, star)
    star["apogee_id"] = NAMED[field.name]
    for name in ("ra", "dec", "j", "h", "k", "ak", "snr", "n_visits", "velocity"):
        star[name] = EXAMPLE_HEADER[name]
    place = SkyCoord(star["ra"] * u.deg, star["dec"] * u.deg).galactic
    star["glon"], star["glat"] = place.l.deg, place.b.deg
    pipeline.aspcap(rng, star)
    star["STARFLAG"] = star["ASPCAPFLAG"] = 0
    return star


def _add_visits(rng, stars, first_plate=visits.FIRST_PLATE):
    """Add visits and labels of the radial-velocity pipeline; the example star's are the real ones."""
    visits.add_visits(rng, stars, first_plate)
    pipeline.rv_labels(rng, stars)
    for row in np.flatnonzero(stars["apogee_id"] == NAMED["M15"]):
        for name in ("plate", "fiber", "RV_TEFF", "RV_LOGG", "RV_FEH"):
            stars[name][row] = EXAMPLE_HEADER[name]
        for name, values in EXAMPLE_VISITS.items():
            stars[name][row, : len(values)] = values
    visits.summarize(stars)


def _name_one(giants, name):
    """Give the most typical giant this name, the corresponding position, and a high S/N."""
    distance = np.sum(((labels_of(giants) - ORDINARY) / _SPREAD) ** 2, axis=1)
    row = int(np.argmin(distance))
    text = name[2:]
    ra = 15 * (int(text[:2]) + int(text[2:4]) / 60 + int(text[4:8]) / 360000)
    sign = -1 if text[8] == "-" else 1
    dec = sign * (int(text[9:11]) + int(text[11:13]) / 60 + int(text[13:16]) / 36000)
    place = SkyCoord(ra * u.deg, dec * u.deg).galactic
    giants["apogee_id"][row], giants["ra"][row], giants["dec"][row] = name, ra, dec
    giants["glon"][row], giants["glat"][row] = place.l.deg, place.b.deg
    _set_snr(giants, row, max(giants["snr"][row], NAMED_SNR))
    pipeline.formal_errors(giants)


def _set_snr(stars, row, snr):
    """Set a star's signal-to-noise ratio and change its magnitudes accordingly."""
    brighter = 5 * np.log10(snr / stars["snr"][row])
    for column in ("j", "h", "k"):
        stars[column][row] -= brighter
    stars["snr"][row] = snr


def _complete(rng, stars):
    """Add the scatter of the velocity and the remaining catalog columns."""
    n = len(stars)
    # how much the velocity differs from visit to visit
    stars["v_sigma"] = np.abs(rng.normal(0, 0.12, n))
    binary = np.asarray(stars["oddity"]) == "binary"
    stars["v_sigma"][binary] = rng.uniform(2, 20, binary.sum())
    stars["n_components"] = np.where(np.asarray(stars["STARFLAG"]) & StarFlag.MULTIPLE_SUSPECT, 2, 1)
    stars["telescope"], stars["EXTRATARG"] = np.full(n, "apo25m"), np.zeros(n, dtype="i4")
