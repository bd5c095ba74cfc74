import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.table import QTable
from pdfs import text_of

from lab2.files import sha256
from lab2.report import Page, page


@pytest.fixture
def displays(monkeypatch):
    """What a page displays, as (thing, metadata)."""
    seen = []
    monkeypatch.setattr(page, "display", lambda thing, raw=False, metadata=None: seen.append((thing, metadata)))
    return seen


def drawn():
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2])
    return figure


def test_a_figure_keeps_where_it_came_from(home, survey, displays):
    sheet = Page("04_spectral_model", "simulated", 11)
    sheet.input(survey / "allStar.fits")
    figure = drawn()
    sheet.show(figure, "theta", "The *coefficients*.")
    folder = home / "figures" / "simulated"
    assert sorted(path.name for path in folder.iterdir()) == ["04_theta.json", "04_theta.pdf", "04_theta.png"]
    assert not plt.fignum_exists(figure.number)
    record = json.loads((folder / "04_theta.json").read_text())
    assert record["notebook"] == "04_spectral_model"
    assert record["seed"] == 11
    assert record["caption"] == "The *coefficients*."
    assert record["inputs"]["data/simulated/allStar.fits"] == sha256(survey / "allStar.fits")
    assert set(record["inputs"]) == {"data/simulated/allStar.fits", "data/simulated/manifest.json"}
    assert record["versions"]["numpy"] == np.__version__
    (bundle, about), (said, caption) = displays
    assert {"image/png", "application/pdf"} <= set(bundle)
    assert about["image/png"]["width"] == pytest.approx(400, rel=0.1)
    assert said.data == "The *coefficients*."
    assert caption == {"lab2": {"role": "caption"}}


@pytest.mark.parametrize(
    ("simulated", "real", "stamped"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_what_is_simulated_says_so(home, displays, simulated, real, stamped, make_survey):
    make_survey(simulated=simulated)
    Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.", real=real)
    (text,) = text_of((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert ("simulated survey" in text) is stamped


def test_equal_figures_are_equal_bytes(home, survey, displays):
    pdfs = set()
    for _ in range(2):
        Page("02_spectra", "simulated", 1).show(drawn(), "one", "A star.")
        pdfs.add((home / "figures" / "simulated" / "02_one.pdf").read_bytes())
    assert len(pdfs) == 1


def test_results_go_from_notebook_to_notebook(home, survey):
    first, second = Page("03_continuum", "simulated", 1), Page("04_spectral_model", "simulated", 1)
    spectra = xr.Dataset({"flux": (("star", "w"), np.eye(3)), "bad": ("star", [True, False, True])})
    path = first.save(spectra.assign_coords(star=["a", "b", "cc"]), "03_spectra.nc")
    assert path == home / "build" / "simulated" / "03_spectra.nc"
    read = second.open("03_spectra.nc").load()
    xr.testing.assert_identical(read, spectra.assign_coords(star=["a", "b", "cc"]))
    assert read.flux.encoding["zlib"]
    table = QTable({"star": ["a"], "teff": [4800.0] * u.K})
    first.save(table, "03_table.ecsv")
    assert second.table("03_table.ecsv")["teff"][0] == 4800 * u.K
    assert set(second._inputs) >= {"build/simulated/03_spectra.nc", "build/simulated/03_table.ecsv"}
    first.save(read, "03_spectra.nc")  # what was read from a file can be saved in its place
    assert sorted(p.name for p in path.parent.iterdir()) == ["03_spectra.nc", "03_table.ecsv"]


def test_a_model_saves_itself_and_half_a_file_is_never_seen(home, survey):
    class Model:
        def save(self, path):
            path.write_text("half")
            raise OSError("the disk is full")

    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(OSError, match="full"):
        sheet.save(Model(), "04_model.nc")
    assert list((home / "build" / "simulated").iterdir()) == []


def test_bad_arguments_of_a_page(home, survey, displays):
    with pytest.raises(ValueError, match="named like '04_spectral_model', not 'model'"):
        Page("model", "simulated", 1)
    with pytest.raises(FileNotFoundError, match="never made"):
        Page("04_model", "dr17", 1)
    sheet = Page("04_spectral_model", "simulated", 1)
    with pytest.raises(FileNotFoundError, match=r"notebook 03 makes it; run: python -m lab2 run 03 --survey simulated"):
        sheet.open("03_spectra.nc")
    with pytest.raises(FileNotFoundError, match="no notebook makes it"):
        sheet.table("giants.ecsv")
    with pytest.raises(FileNotFoundError, match="which notebook 04_spectral_model reads"):
        sheet.input(home / "nothing")
    with pytest.raises(ValueError, match=r"saves files named 04_"):
        sheet.save(xr.Dataset(), "05_model.nc")
    with pytest.raises(TypeError, match="cannot save a list"):
        sheet.save([1], "04_model.nc")
    with pytest.raises(ValueError, match="no caption"):
        sheet.show(drawn(), "x", " ")
    with pytest.raises(ValueError, match="figure's name"):
        sheet.show(drawn(), "a/b", "C.")
    plt.close("all")
    with pytest.raises(ValueError, match="lacks: bias"):
        sheet.display_table(QTable({"a": [1]}), "C.", {"bias": ".2f"})
