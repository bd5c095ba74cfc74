import numpy as np
import pytest
import xarray as xr
from drawn_posterior import LABELS, drawn_posterior

from lab2 import posterior
from lab2._io import netcdf
from lab2.report import Page


@pytest.fixture
def idata():
    return drawn_posterior()


@pytest.mark.parametrize("labels", [LABELS, ["fe_h"]])
def test_draws_come_back_exactly(tmp_path, labels):
    idata = drawn_posterior(labels)
    posterior.save(idata, tmp_path / "draws.nc")
    found = posterior.load(tmp_path / "draws.nc")
    for name in ("posterior", "sample_stats", "constant_data"):
        xr.testing.assert_identical(found[name], idata[name])
    assert found.attrs == idata.attrs
    assert list(posterior.summary(found)["unit"]) == ["K", "dex"][-len(labels) :]


def test_arviz_reads_the_file_and_equal_draws_are_equal_files(idata, tmp_path):
    for name in ("one.nc", "two.nc"):
        posterior.save(idata, tmp_path / name)
    assert (tmp_path / "one.nc").read_bytes() == (tmp_path / "two.nc").read_bytes()
    theirs = posterior.az.from_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    np.testing.assert_array_equal(theirs.posterior.labels, idata.posterior.labels)
    assert theirs.attrs["chi2"] == 400.5
    assert theirs.posterior.label.values.tolist() == LABELS


def test_a_page_saves_draws_so(idata, home, tmp_path):
    folder = home / "data" / "simulated"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"simulated": true, "files": {}}')
    path = Page("07_mystery_star", "simulated", 1).save(idata, "07_posterior.nc")
    xr.testing.assert_identical(posterior.load(path).posterior, idata.posterior)


def test_damaged_and_other_files_are_refused(idata, tmp_path):
    path = tmp_path / "draws.nc"
    with pytest.raises(FileNotFoundError, match="no such lab2 posterior file"):
        posterior.load(path)
    posterior.save(idata, path)
    content = path.read_bytes()
    for damaged in (content[:-1], content[:5000], content[:5000] + bytes(64) + content[5064:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"draws\.nc is (damaged|not a complete file)"):
            posterior.load(path)
    idata.to_netcdf(str(path))
    with pytest.raises(ValueError, match=r"draws\.nc is not a complete file"):
        posterior.load(path)
    netcdf.write(path, {"/": xr.Dataset(attrs={"format": "lab2 posterior", "format_version": 99})})
    with pytest.raises(ValueError, match=r"not a lab2 posterior of version 1, but 'lab2 posterior', 99; sample again"):
        posterior.load(path)


DAMAGE = {
    "in the group posterior, labels must be finite": {"posterior": lambda d: d * np.nan},
    "in the group posterior, it has no labels": {"posterior": lambda d: d.rename(labels="draws")},
    "in the group posterior, labels must have the dims": {"posterior": lambda d: d.transpose("draw", ...)},
    "there is no sample_stats": {"sample_stats": lambda d: None},
    "prior_sd must be finite and more than 0": {"constant_data": lambda d: d.assign(prior_sd=-d.prior_sd)},
    "lower bound is not below": {"constant_data": lambda d: d.assign(prior_upper=d.prior_lower)},
    "do not have the same labels": {"constant_data": lambda d: d.isel(label=[1, 0])},
    "the attribute 'units'": {"posterior": lambda d: d.assign(labels=d.labels.drop_attrs())},
}


@pytest.mark.parametrize("words", DAMAGE)
def test_what_is_no_posterior_is_refused_with_the_reason(idata, tmp_path, words):
    ((group, change),) = DAMAGE[words].items()
    groups = {name: idata[name] for name in ("posterior", "sample_stats", "constant_data")}
    groups[group] = change(groups[group])
    groups = {name: dataset for name, dataset in groups.items() if dataset is not None}
    with pytest.raises(ValueError, match=words):
        posterior.save(posterior.az.InferenceData(**groups), tmp_path / "draws.nc")
    root = xr.Dataset(attrs={"format": "lab2 posterior", "format_version": 1})
    netcdf.write(tmp_path / "draws.nc", {"/": root, **groups})
    with pytest.raises(ValueError, match=rf"draws\.nc is damaged: .*{words}.*; sample again"):
        posterior.load(tmp_path / "draws.nc")
