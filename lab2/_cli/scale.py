"""Commands for whole surveys: labels in shards, and a store of spectra."""

import sys

from lab2._cli.labels import FILES_FROM, OR_STORE, SOME_UNREADABLE, SPECTRA, calibration_of, files_or_store, warn

__all__ = ["add_commands"]

_STATUS = (
    "Exit status: 0 if all files could be read; 3 if some could not, whose rows say why; 1 if shards failed "
    "three times, which are listed; 2 if an input is wrong or the output cannot be written; 130 after Ctrl-C. Unless "
    "it is 0 or 3, no catalog was written; finished shards are kept, and the same command continues from there."
)
_SHOWN = ["teff", "logg", "fe_h", "mg_fe"]  # in the figure
_FIGURES = ".pdf", ".png", ".svg"
_KEPT = "finished work is kept; run the same command to continue"


def label_survey(chosen):
    """Measure the labels of a whole survey in shards, on this machine or a cluster, and write one catalog."""
    from lab2.cannon import Cannon
    from lab2.labelling.summary import about
    from lab2.scale import label_survey

    model, calibration = Cannon.load(chosen.model), calibration_of(chosen)
    if chosen.figure:
        _check_figure(chosen.figure, model)
    found = label_survey(
        files_or_store(chosen),
        chosen.model,
        chosen.out,
        calibration=chosen.calibration,
        shard=chosen.shard,
        workers=chosen.workers,
        scheduler=chosen.scheduler,
        report=_report,
    )
    warn(calibration, about(model, calibration, chosen.model), found)
    print(f"{found.line()}; {chosen.out}/labels.fits and .parquet")
    if chosen.figure:
        _draw(chosen)
    return SOME_UNREADABLE if found.unreadable else 0


def store(chosen):
    """Read, mask and normalize apStar files once, into a store that lab2 label-survey can use with any model."""
    from lab2.cannon import Cannon
    from lab2.labelling.inputs import spectrum_files
    from lab2.scale import build_store

    pixels = Cannon.load(chosen.model).trusted if chosen.model else None
    paths = spectrum_files(chosen.spectra, chosen.files_from)
    build_store(paths, chosen.out, pixels, chosen.workers, chosen.scheduler, _report)
    print(f"{len(paths)} spectra: {chosen.out}")


def _check_figure(path, model):
    """Raise an error if there could be no figure in the end."""
    from pathlib import Path

    from lab2._extras import require
    from lab2.files import check_writable

    require("plot", "--figure")
    if Path(path).suffix not in _FIGURES:
        raise ValueError(f"a figure is drawn as {', '.join(_FIGURES)}, by the end of its name; got {path!r}")
    if missing := [name for name in _SHOWN if name not in model.labels]:
        raise ValueError(f"the figure shows {', '.join(_SHOWN)}, but the model has no {', '.join(missing)}")
    check_writable(path)


def _draw(chosen):
    from pathlib import Path

    from lab2 import plots
    from lab2.files import replacing
    from lab2.scale.catalog import read_labels

    table = read_labels(Path(chosen.out, "labels.parquet"), ["ra", "dec", *_SHOWN, "flag", "read", "simulated"])
    with replacing(chosen.figure) as part:
        plots.catalog_summary(table).savefig(part)


def _report(text):
    print(f"lab2: {text}", file=sys.stderr, flush=True)


def add_commands(add):
    """Describe the commands of this module."""
    one = add(label_survey, "label-survey", _KEPT)
    one.epilog = _STATUS
    one.add_argument("spectra", **SPECTRA | OR_STORE)
    one.add_argument("--files-from", **FILES_FROM)
    one.add_argument("--model", required=True, metavar="FILE", help="a trained model, as for lab2 label")
    text = "calibration of the errors (default: that in the model's file)"
    one.add_argument("--calibration", metavar="FILE", help=text)
    text = "folder of the run, which will contain labels.fits and labels.parquet (default: labels)"
    one.add_argument("-o", "--out", default="labels", metavar="FOLDER", help=text)
    one.add_argument("--shard", type=int, default=4096, metavar="N", help="spectra per shard (default: 4096)")
    one.add_argument("--figure", metavar="FILE", help="plot the catalog: .pdf, .png or .svg")
    _add_workers(one)

    one = add(store, "store", _KEPT)
    one.add_argument("spectra", **SPECTRA)
    one.add_argument("--files-from", **FILES_FROM)
    text = "a model whose continuum pixels are used (default: those of lab2)"
    one.add_argument("--model", metavar="FILE", help=text)
    one.add_argument("-o", "--out", required=True, metavar="FOLDER", help="the store to write, .zarr")
    _add_workers(one)


def _add_workers(one):
    one.add_argument("--workers", type=int, metavar="N", help="processes on this machine (default: one per core)")
    text = "a Dask scheduler whose workers to use instead, such as tcp://10.0.0.1:8786"
    one.add_argument("--scheduler", metavar="ADDRESS", help=text)
