import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from lab2 import isochrones
from lab2.archive import mist
from lab2.archive.web import ArchiveError, RefusedError, TransientError

RULE = "# " + "-" * 86


def text(age_gyr=3.0, feh=-1.5, rotation=0.4, age_column="isochrone_age_yr", shift=0.0):
    """A file as the web form packs it, its numbers those of the carried isochrone of 6 Gyr and [Fe/H] = -1."""
    source = isochrones.mist(6, -1)
    age = age_gyr * 1e9 if age_column == "isochrone_age_yr" else np.log10(age_gyr * 1e9)
    names = ["EEP", age_column, "initial_mass", "star_mass", "log_L", "log_Teff", "log_g", "phase"]
    lines = [
        "# MIST version number  = 1.2",
        "# MESA revision number =     7503",
        RULE,
        "#  Yinit        Zinit   [Fe/H]   [a/Fe]  v/vcrit                                        ",
        f"# 0.2490  4.51753E-04 {feh:8.2f}     0.00 {rotation:8.2f}",
        RULE,
        "# number of isochrones =     1",
        RULE,
        f"# number of EEPs, cols =   {len(source)}   {len(names)}",
        "#   " + "    ".join(str(i) for i in range(1, len(names) + 1)),
        "#  " + "   ".join(names),
    ]
    for row in source:
        mass = row["initial_mass"].value
        values = (row["log_luminosity"].value, np.log10(row["teff"].value) + shift, row["logg"].value)
        lines.append(
            f"{row['eep']:5d} {age:.8E} {mass:.8f} {mass:.8f} " + " ".join(f"{v:.8f}" for v in values) + " 0.0"
        )
    # what the lab does not draw: pre-main sequence and what comes after core helium burning
    lines.insert(11, f"   10 {age:.8E} 0.1 0.1 -2.0 3.5 4.5 -1.0")
    lines.append(f"  900 {age:.8E} 1.1 0.6 3.5 3.5 0.1 4.0")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("age_column", ["isochrone_age_yr", "log10_isochrone_age_yr"])
def test_another_isochrone_is_fetched_once_and_kept(archive, home, age_column):
    archive.isochrone = text(age_column=age_column)
    isochrone = isochrones.mist(3, -1.5)
    same = isochrones.mist(6, -1)
    assert isochrone["eep"].tolist() == same["eep"].tolist()
    assert isochrone["phase"].tolist() == same["phase"].tolist()
    for name in ("initial_mass", "teff", "logg", "log_luminosity"):
        assert isochrone[name].unit == same[name].unit
        np.testing.assert_allclose(isochrone[name].value, same[name].value, rtol=1e-6, atol=1e-6)
    assert isochrone.meta["version"] == "1.2"
    again = isochrones.mist(3, -1.5)
    assert (again["teff"] == isochrone["teff"]).all()
    assert len(archive.forms) == 1
    kept = home / "data" / "isochrones" / "mist_v1.2_3gyr_feh-1.5.ecsv"
    assert QTable.read(kept).meta["age_gyr"] == 3


def test_the_form_is_asked_as_its_page_does(archive):
    archive.isochrone = text()
    isochrones.mist(3, -1.5)
    (form,) = archive.forms
    assert form == {
        "version": "1.2",
        "v_div_vcrit": "vvcrit0.4",
        "age_scale": "linear",
        "age_type": "single",
        "age_value": "3e+09",
        "FeH_value": "-1.5",
        "output_option": "theory",
        "theory_output": "basic",
        "Av_value": "0",
    }


def test_what_is_carried_is_not_asked_for(archive):
    isochrones.mist(6, -0.3)
    assert archive.forms == []


def test_the_giant_branch_of_a_fetched_isochrone(archive):
    archive.isochrone = text()
    assert isochrones.teff_on_rgb(2.0, -1.5, age_gyr=3).to_value(u.K) == pytest.approx(
        isochrones.teff_on_rgb(2.0, -1.0).to_value(u.K), abs=0.01
    )


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (text(age_gyr=4.0), r"asked for 3 Gyr, \[Fe/H\] = -1.5, v/v_crit = 0.4, and sent 4 Gyr, -1.5, 0.4"),
        (text(feh=-1.25), r"and sent 3 Gyr, -1.25, 0.4"),
        (text(rotation=0.0), r"and sent 3 Gyr, -1.5, 0"),
        (text().replace("log_g", "log_q"), "has no column log_g; it has EEP"),
        (text().replace("  900 ", "  300 "), "not in the order of its EEPs"),
        ("<html>an error</html>", "something that is no isochrone: '<html>an error"),
    ],
)
def test_another_isochrone_than_asked_for_is_not_kept(archive, home, sent, message):
    archive.isochrone = sent
    with pytest.raises(ArchiveError, match=message):
        isochrones.mist(3, -1.5)
    assert not (home / "data" / "isochrones").exists()


def test_the_form_s_own_words_are_passed_on(archive):
    with pytest.raises(RefusedError, match=r"gave no isochrone of 3 Gyr and -1\.5: The \[Fe/H\] must be within"):
        isochrones.mist(3, -1.5)
    assert len(archive.forms) == 1


def test_sizes_are_bounded(archive, monkeypatch):
    archive.isochrone = text()
    monkeypatch.setattr(mist, "LIMIT", 20_000)
    with pytest.raises(RefusedError, match=r"larger than 0 MB|unpacks to 0 MB"):
        isochrones.mist(3, -1.5)


def test_a_small_archive_that_unpacks_to_much_is_refused(monkeypatch):
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.iso", b"0" * 60_000_000)
    assert len(packed.getvalue()) < 100_000
    with pytest.raises(RefusedError, match="unpacks to 60 MB, which no isochrone has"):
        mist._unpacked(packed.getvalue(), "http://x")


@pytest.mark.parametrize("packed", [b"no archive", b""])
def test_what_is_no_archive_is_asked_for_again(packed):
    with pytest.raises(TransientError, match="no archive with one isochrone"):
        mist._unpacked(packed, "http://x")


def test_a_link_to_another_server_is_not_followed(archive):
    archive.link = "http://127.0.0.1:9/x.zip"
    with pytest.raises(RefusedError, match=r"links to another server, which is not followed: http://127\.0\.0\.1:9"):
        isochrones.mist(3, -1.5)


def test_nobody_there(archive, monkeypatch):
    monkeypatch.setenv("LAB2_MIST_URL", "http://127.0.0.1:9/MIST")
    with pytest.raises(TransientError, match=r"MIST \(http://127.0.0.1:9/MIST/iso_form.php\) gave no answer"):
        isochrones.mist(3, -1.5)
