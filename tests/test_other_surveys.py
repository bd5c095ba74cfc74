"""The first notebooks on other surveys: one that was fetched, and one of another field."""

import nbformat
import xarray as xr
from other_fields import with_other_fields
from pdfs import text_of

from lab2 import archive as sdss
from lab2 import catalog
from lab2.report import escaped
from lab2.report.checkpoints import checkpoint
from lab2.report.run import run
from lab2.survey import build_folder


def test_a_fetched_survey_runs_without_the_spectra_that_are_missing(archive):
    archive.lost = {path.name for path in sorted(archive.stars.glob("N6791/*.fits"))[:2]}
    sdss.fetch(sdss.plan())
    run(["01", "02", "03"], "dr17", progress=False)
    text = " ".join("\n".join(text_of(checkpoint(1, "dr17").read_bytes())).split())
    assert "Survey: dr17 (observed; labels of the pipeline's run synspec)" in text
    assert "imulated" not in text
    first = nbformat.read(build_folder("dr17") / "01_training_set.ipynb", as_version=4)
    outputs = [o.get("data", {}) for cell in first.cells for o in cell.get("outputs", ())]
    said = [data.get("text/markdown", "") for data in outputs]
    assert any("**Without a spectrum in this survey: 2.**" in passage and "404" in passage for passage in said)
    spectra = xr.open_dataset(build_folder("dr17") / "03_spectra.nc", engine="h5netcdf")
    assert spectra.sizes["star"] == 148
    assert (spectra.ivar.sum("wavelength") > 0).all()
    assert spectra.attrs["label_tree"] == "synspec"
    spectra.close()


def test_a_survey_of_another_field_without_the_stars_of_the_handout_says_so(tiny_survey, home):
    """Notebook 05 with one field, and 06 to 08, differ in nothing else: `lab2.validation.fields_or`."""
    fields = dict.fromkeys(("M15", "N6791", "K2_C4_168-21", "060+00"), "NGC188")
    with_other_fields(tiny_survey, home / "data", "ours", fields)
    run(["01", "02", "03", "04"], "ours", progress=False)
    said = {}
    for stem in ("01_training_set", "02_spectra", "03_continuum", "04_spectral_model"):
        notebook = nbformat.read(build_folder("ours") / f"{stem}.ipynb", as_version=4)
        outputs = [o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", ())]
        said[stem[:2]] = " ".join(" ".join(data.get("text/markdown", "") for data in outputs).split())
    assert "**148 stars remain**" in said["01"]
    assert "0.08 times as many" in said["01"]
    assert f"This survey lacks {catalog.EXAMPLE}" in said["02"]
    assert f" takes the place of {catalog.EXAMPLE}" in said["03"]
    assert f" takes the place of {catalog.PREDICTED}" in said["04"]
    giants = xr.open_dataset(build_folder("ours") / "03_spectra.nc", engine="h5netcdf")
    shown = catalog.named_or_typical(catalog.PREDICTED, giants)
    giants.close()
    assert f"Problem 7 predicts {escaped(shown)}." in said["04"]
