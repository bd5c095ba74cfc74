"""Commands that train a model and measure the labels of spectra."""

import os
import sys

__all__ = [
    "FILES_FROM",
    "OR_STORE",
    "SOME_UNREADABLE",
    "SPECTRA",
    "add_commands",
    "calibration_of",
    "files_or_store",
    "warn",
]

SOME_UNREADABLE = 3
_STATUS = (
    "Exit status: 0 if all files could be read; 3 if some could not, whose rows say why; 1 if a worker process was "
    "killed; 2 if an input is wrong or the output cannot be written; 130 after Ctrl-C. Unless it is 0 or 3, nothing "
    "was written."
)
SPECTRA = {
    "nargs": "*",
    "metavar": "SPECTRA",
    "help": "apStar files, folders (all apStar-*.fits and asStar-*.fits in and below them), or patterns in quotes",
}
OR_STORE = {"help": f"{SPECTRA['help']}; or one store, .zarr (lab2 store)"}
FILES_FROM = {"metavar": "FILE", "help": "a list of files, one in each line; - reads it from the standard input"}


def label(chosen):
    """Measure the labels of spectra with a trained model, and write a table with one row per file."""
    import time

    from lab2._blocks import n_cores
    from lab2.cannon import Cannon
    from lab2.labelling.inputs import spectrum_files
    from lab2.labelling.progress import progress
    from lab2.labelling.stream import label_stream
    from lab2.labelling.summary import Summary, about
    from lab2.labelling.writing import check_output, writing

    out = check_output(chosen.out)
    model, calibration = Cannon.load(chosen.model), calibration_of(chosen)
    if calibration is not None:
        calibration.check_model(model)
    paths = spectrum_files(chosen.spectra, chosen.files_from)
    if os.path.abspath(out) in map(os.path.abspath, paths):
        raise ValueError(f"the table would replace one of the spectra: {out}")
    header, summary, start = about(model, calibration, chosen.model), Summary(), time.monotonic()
    tables = label_stream(paths, model, calibration, n_cores() if chosen.workers is None else chosen.workers)
    with writing(out, header) as write:
        for table in progress(tables, len(paths)):
            write(table)
            summary.add(table)
    warn(calibration, header, summary)
    seconds = time.monotonic() - start
    print(f"{summary.line()}; {out}, {seconds:.0f} s, {summary.stars / seconds:.0f} stars per second")
    return SOME_UNREADABLE if summary.unreadable else 0


def files_or_store(chosen):
    """The files that were named, as a list, or the name of a store, if it is one."""
    from lab2.labelling.inputs import spectrum_files

    if len(chosen.spectra) == 1 and chosen.spectra[0].rstrip("/").endswith(".zarr") and not chosen.files_from:
        return chosen.spectra[0]
    return spectrum_files(chosen.spectra, chosen.files_from)


def calibration_of(chosen):
    """The given calibration, or else that in the model's file; None if there is none."""
    from lab2.files import holds
    from lab2.validation import Calibration

    path = chosen.calibration or chosen.model
    return Calibration.load(path) if chosen.calibration or holds(path, Calibration.kind) else None


def warn(calibration, header, summary):
    """Warn of uncalibrated errors and of labels from a simulated model."""
    if calibration is None:
        print("lab2: warning: the errors are formal and several times too small: give --calibration", file=sys.stderr)
    if "caveat" in header and summary.observed:
        text = f"{summary.observed} of {summary.stars} spectra are observed, but {header['caveat']}"
        print(f"lab2: warning: {text}", file=sys.stderr)


def train(chosen):
    """Train a model on spectra with labels from a catalog, and calibrate its errors."""
    from lab2.files import check_writable, now, sha256
    from lab2.labelling.training import read_catalog, train_files
    from lab2.labels import LABELS

    if not chosen.out.endswith(".nc"):
        raise ValueError(f"a model is written as netCDF, so --out must end with .nc, not {chosen.out!r}")
    if chosen.factors < 0:
        raise ValueError(f"the number of factors must be 0 or more; got {chosen.factors}")
    check_writable(chosen.out)
    rows = read_catalog(chosen.labels)
    spectra = files_or_store(chosen)
    if isinstance(spectra, str):
        from lab2.scale import open_store

        spectra = open_store(spectra)
    found = train_files(
        spectra, rows, chosen.label or LABELS, chosen.factors, chosen.seed, progress=sys.stderr.isatty()
    )
    found.model.dataset.attrs.update(
        catalog=chosen.labels,
        catalog_sha256=sha256(chosen.labels),
        date=now(),
        command=" ".join(["lab2", *sys.argv[1:]]),
    )
    found.model.save(chosen.out, found.calibration)
    used, about = found.model.dataset.sizes["training_star"], found.model.dataset.attrs
    print(f"trained on {used} of {about['n_files']} files; left out: {about['left_out']}")
    print("cross-validated in two halves, fitted less catalog; the calibrated error of a typical star:")
    errors = found.calibration.floor_errors.values
    for row, unit, error in zip(found.statistics, found.model.units, errors, strict=True):
        print(f"{row['label']:>8}  bias {row['bias']:+.3g}, std {row['std']:.3g}, error {error:.3g} {unit}".rstrip())
    print(f"model and calibration: {chosen.out}")


def add_commands(add):
    """Describe the commands of this module."""
    one = add(train, "train")
    one.add_argument("spectra", **SPECTRA | OR_STORE)
    one.add_argument("--files-from", **FILES_FROM)
    text = "the catalog: FITS, ECSV or CSV with APOGEE_ID, FIELD, SNR and the columns of the labels, such as allStar"
    one.add_argument("--labels", required=True, metavar="TABLE", help=text)
    text = "a label, by name (teff) or catalog column (AL_FE); repeat for each label (default: the five)"
    one.add_argument("--label", action="append", metavar="LABEL", help=text)
    one.add_argument("--factors", type=int, default=0, metavar="K", help="number of hidden factors (default: 0)")
    one.add_argument("--seed", type=int, default=128, metavar="S", help="seed of split and noise (default: 128)")
    one.add_argument("-o", "--out", default="model.nc", metavar="FILE", help="the model to write (default: model.nc)")

    one = add(label, "label")
    one.epilog = _STATUS
    one.add_argument("spectra", **SPECTRA)
    one.add_argument("--files-from", **FILES_FROM)
    text = "a trained model from lab2 train or the notebooks, such as build/simulated/05_model.nc"
    one.add_argument("--model", required=True, metavar="FILE", help=text)
    text = "calibration of the errors, such as build/simulated/05_calibration.nc (default: that in the model's file)"
    one.add_argument("--calibration", metavar="FILE", help=text)
    text = "the table to write: .fits, .parquet, .ecsv or .csv (default: labels.fits)"
    one.add_argument("-o", "--out", default="labels.fits", metavar="FILE", help=text)
    one.add_argument("--workers", type=int, metavar="N", help="number of processes (default: one per core)")
