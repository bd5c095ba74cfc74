"""Commands that measure the labels of spectra."""

import sys
from pathlib import Path

__all__ = ["add_commands"]


def label(chosen):
    """Measure the labels of spectra with a trained model."""
    import xarray as xr

    from lab2 import apstar, continuum, validation
    from lab2._command import command
    from lab2.cannon import Cannon, fit_labels, misfit, to_table
    from lab2.files import replacing
    from lab2.survey import build_folder

    model_path = Path(chosen.model) if chosen.model else build_folder("simulated") / "04_model.nc"
    if not model_path.is_file():
        raise FileNotFoundError(f"there is no model {model_path}; notebook 04 makes it; run: {command('run 01 03 04')}")
    if Path(chosen.out).suffix != ".ecsv":
        raise ValueError(f"the labels are written as ECSV, so --out must end with .ecsv, not {chosen.out!r}")
    raw = apstar.read_many(chosen.files)
    model = Cannon.load(model_path)
    trusted = model.trusted  # the pixels on which the training spectra were normalized
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw), trusted)
    fits = fit_labels(model, spectra)
    spectra["misfit"] = misfit(model, spectra, fits)
    if chosen.calibration:
        calibration = validation.Calibration.load(chosen.calibration)
        beyond = calibration.misfits(fits)
        fits = calibration.apply(fits)
        fits["covariance"] = fits.covariance.where(~xr.DataArray(beyond, dims="star"))
    else:
        print("lab2: warning: the errors are formal ones, several times too small: give --calibration", file=sys.stderr)
    table = to_table(fits, spectra)
    _warn_of_observed(table, model)
    with replacing(chosen.out) as part:
        table.write(part, format="ascii.ecsv")
    flagged = int((table["flag"] != 0).sum())
    print(f"{len(table)} stars, {flagged} flagged: {chosen.out}")


def _warn_of_observed(table, model):
    """Say it, on the screen and in the table, where a model of simulated spectra was applied to observed ones."""
    observed = int((~table["simulated"] & (table["reason"] == "-")).sum())
    if not model.simulated or not observed:
        return
    from lab2.simulate import real_offsets

    text = (
        f"{observed} of {len(table)} spectra are observed, but the model was trained on simulated ones; on spectra of "
        f"real giants its labels were off by {real_offsets()}, which no error here includes"
    )
    table.meta["comments"] = [text]
    print(f"lab2: warning: {text}", file=sys.stderr)


def add_commands(add):
    """Describe the commands of this module."""
    one = add(label, "label")
    one.add_argument("files", nargs="+", metavar="FILE", help="apStar files")
    one.add_argument("--model", metavar="FILE", help="a trained model (default: build/simulated/04_model.nc)")
    one.add_argument("--calibration", metavar="FILE", help="of its errors, such as build/simulated/05_calibration.nc")
    one.add_argument("--out", default="labels.ecsv", metavar="FILE", help="the table to write (default: labels.ecsv)")
