"""The command line: python -m lab2 --help."""

import argparse
import ast
import sys
from pathlib import Path

__all__ = ["main"]


def main(arguments=None):
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, without the program's name.

    Returns
    -------
    int
        The exit status: 0, 1 where a notebook or an archive failed, 2 where something that was given is wrong.
    """
    chosen = _parser().parse_args(arguments)
    from lab2._failure import Failure

    try:
        chosen.command(chosen)
    except (ValueError, OSError, ImportError) as error:
        print(f"lab2: error: {error}", file=sys.stderr)
        return 2
    except Failure as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; {chosen.interrupted}", file=sys.stderr)
        return 130
    return 0


def fetch(chosen):
    """Fetch a survey's catalog and spectra from SDSS DR17, or what is missing of them."""
    from lab2 import archive
    from lab2._lock import alone
    from lab2.survey import build_folder

    if chosen.probe:
        _probe()
        return
    plan = archive.plan(chosen.survey, chosen.fields, chosen.limit, chosen.allstar, chosen.verify)
    record = plan.record
    print(
        f"survey {chosen.survey!r}: fields {', '.join(record['fields'])}; {record['rows']} rows in the catalog, label"
    )
    print(f"tree {record['label_tree']}, from {record['source']}")
    size = f"about {plan.size / 1e9:.2f} GB ({plan.free / 1e9:.0f} GB are free)"
    print(f"spectra: {plan.present} are here; {len(plan.downloads)} to fetch, {size}")
    for path, reason in plan.damaged.items():
        print(f"to be fetched again: {path}: {reason}")
    if chosen.dry_run:
        return
    with alone(build_folder(chosen.survey)):  # no notebook reads the survey while it changes
        about, notes = archive.fetch(plan)
    for name, reason in about["missing"].items():
        print(f"missing: {name}: {reason}")
    for note in notes:
        print(f"note: {note}")
    spectra = sum(name.startswith("apStar/") for name in about["files"])
    without = f"; {len(about['missing'])} are missing, and the lab runs without them" if about["missing"] else ""
    print(f"{spectra} spectra in {plan.folder}{without}")


def _probe():
    """Print what is found of each assumption about the archives."""
    from lab2.archive import ArchiveError
    from lab2.archive.probe import probe, table

    findings = probe()
    print(table(findings))
    if wrong := sum(bool(finding.advice) for finding in findings):
        raise ArchiveError(f"{wrong} of {len(findings)} assumptions do not hold")


def simulate(chosen):
    """Make a simulated survey."""
    from lab2._lock import alone
    from lab2.simulate import make_survey
    from lab2.survey import build_folder, survey_folder

    folder = survey_folder(chosen.survey)
    given = {"seed": chosen.seed, "n_stars": chosen.n_stars}
    with alone(build_folder(chosen.survey)):  # no notebook reads the survey that is replaced
        make_survey(folder, **{name: value for name, value in given.items() if value is not None})
    print(f"survey {chosen.survey!r}: {folder}")


def survey(chosen):
    """Check a survey's files against its manifest, and write that where there is none."""
    from lab2 import catalog
    from lab2._lock import alone
    from lab2.survey import build_folder, check, survey_folder

    there = (survey_folder(chosen.survey, must_exist=True) / "manifest.json").is_file()
    new = chosen.adopt or not there
    if new:
        with alone(build_folder(chosen.survey)):
            about = catalog.adopt(chosen.survey)
    else:
        about = check(chosen.survey)
    spectra = sum(name.startswith("apStar/") for name in about["files"])
    size = sum(file["size"] for file in about["files"].values()) / 1e6
    kind = "simulated" if about["simulated"] else "observed"
    state = "manifest.json written" if new else "all files as in manifest.json"
    print(f"survey {chosen.survey!r} ({kind}): {spectra} spectra, {size:.0f} MB; {state}")


def run(chosen):
    """Execute notebooks on a survey."""
    from lab2._lock import alone
    from lab2.report.run import run
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        for path in run(chosen.notebooks, chosen.survey, dict(chosen.parameters)):
            print(path)


def checkpoints(chosen):
    """Make the checkpoints' PDFs."""
    from lab2._lock import alone
    from lab2.report.checkpoints import CHECKPOINTS, checkpoint
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        for number in chosen.number or CHECKPOINTS:
            print(checkpoint(number, chosen.survey, chosen.name))


def report(chosen):
    """Make the report's PDF."""
    from lab2._lock import alone
    from lab2.report.checkpoints import report
    from lab2.survey import build_folder

    with alone(build_folder(chosen.survey), wait=True):
        print(report(chosen.survey))


def check(chosen):
    """Execute a folder of students' notebooks, and compare their key numbers with those of the project's own."""
    import os

    from lab2._failure import Failure
    from lab2._lock import alone
    from lab2.grading import check as judged
    from lab2.grading import isolation, tables
    from lab2.survey import build_folder

    workers = chosen.workers or os.cpu_count() or 1
    limits = isolation.Limits(chosen.minutes, chosen.memory, max(1, (os.cpu_count() or 1) // workers))
    with alone(build_folder(chosen.survey), wait=True):  # no other run changes the reference
        records, out = judged(chosen.folder, chosen.survey, limits, workers, chosen.out)
    for record in records:
        if record["outcome"] != "ran":
            where = f" at {record['cell']}" if record["cell"] else ""
            print(f"{record['file']}: {record['outcome']}{where}: {record['cause']}")
    counts = tables.counts(records)
    print(f"{len(records)} notebooks: {', '.join(f'{n} {outcome}' for outcome, n in counts.items())}; {out}/check.html")
    print(_NO_SANDBOX)
    if bad := len(records) - counts.get("ran", 0):
        raise Failure(f"{bad} of {len(records)} notebooks did not run to their end")


def label(chosen):
    """Measure the labels of spectra with a trained model."""
    import numpy as np
    import xarray as xr

    from lab2 import apstar, continuum, validation
    from lab2.cannon import Cannon, fit_labels, misfit
    from lab2.files import replacing
    from lab2.survey import build_folder

    model_path = Path(chosen.model) if chosen.model else build_folder("simulated") / "04_model.nc"
    if not model_path.is_file():
        raise FileNotFoundError(
            f"there is no model {model_path}; notebook 04 makes it; run: python -m lab2 run 01 03 04"
        )
    if Path(chosen.out).suffix != ".ecsv":
        raise ValueError(f"the labels are written as ECSV, so --out must end with .ecsv, not {chosen.out!r}")
    raw = apstar.read_many(chosen.files)
    model = Cannon.load(model_path)
    trusted = model.trusted  # the pixels on which the training spectra were normalized
    spectra = continuum.normalize(apstar.mask_bad_pixels(raw), trusted)
    fits = fit_labels(model, spectra)
    about = {"misfit": misfit(model, spectra, fits).values, "simulated": raw.simulated.values}
    about["read_error"] = np.where(raw.read_error == "", "-", raw.read_error)
    if chosen.calibration:
        calibration = validation.Calibration.load(chosen.calibration)
        beyond = calibration.misfits(fits)
        fits = calibration.apply(fits)
        fits["covariance"] = fits.covariance.where(~xr.DataArray(beyond, dims="star"))
    table = _label_table(fits, about)
    _warn_of_observed(table, model)
    with replacing(chosen.out) as part:
        table.write(part, format="ascii.ecsv")
    flagged = sum(words != "-" for words in table["flag"])
    print(f"{len(table)} stars, {flagged} flagged: {chosen.out}")


def _label_table(fits, about):
    """Fits as a table: star, each label and its standard error, chi2, n_pixels, `about`, and the words of the flag."""
    from astropy.table import QTable

    from lab2.cannon import Flag, errors
    from lab2.labels import LABELS

    units = {label.name: label.unit for label in LABELS}
    table = QTable({"star": fits["star"].values.astype(str)})
    sigma = errors(fits).values
    for i, name in enumerate(fits["label"].values):
        table[str(name)] = fits["labels"].values[:, i]
        table[f"sigma_{name}"] = sigma[:, i]
        for column in (str(name), f"sigma_{name}"):
            table[column].unit = units.get(str(name))
    for name in ("chi2", "reduced_chi2", "n_pixels"):
        table[name] = fits[name].values
    for name, values in about.items():
        table[name] = values
    table["flag"] = [Flag.words(flag) for flag in fits["flag"].values]
    return table


def _warn_of_observed(table, model):
    """Say it, on the screen and in the table, where a model of simulated spectra was applied to observed ones."""
    observed = int((~table["simulated"] & (table["read_error"] == "-")).sum())
    if not model.simulated or not observed:
        return
    from lab2.simulate import real_offsets

    text = (
        f"{observed} of {len(table)} spectra are observed, but the model was trained on simulated ones; on spectra of "
        f"real giants its labels were off by {real_offsets()}, which no error here includes"
    )
    table.meta["comments"] = [text]
    print(f"lab2: warning: {text}", file=sys.stderr)


def _parameter(text):
    """NAME=VALUE, the value as Python reads it or else as text; the name of a file is always text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"a parameter is written name=value, not {text!r}")
    if name == "mystery":
        return name, value
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: brackets in brackets
        return name, value


_NO_SANDBOX = (
    "This is no sandbox: a notebook runs as you, and can read, change, delete and send what you can. Check notebooks "
    "that you do not trust in a container, or as a user of its own, without network."
)
_ON_SURVEY = {"default": "simulated", "metavar": "NAME", "help": "a folder in data/ (default: simulated)"}


def _parser():
    parser = argparse.ArgumentParser(prog="lab2", description="A small Cannon for APOGEE, and its lab report.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command, name, interrupted="nothing was written; the same command begins anew"):
        found = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        found.set_defaults(command=command, interrupted=interrupted)
        return found

    _add_surveys(add)
    _add_lab(add)
    one = add(label, "label")
    one.add_argument("files", nargs="+", metavar="FILE", help="apStar files")
    one.add_argument("--model", metavar="FILE", help="a trained model (default: build/simulated/04_model.nc)")
    one.add_argument("--calibration", metavar="FILE", help="of its errors, such as build/simulated/05_calibration.nc")
    one.add_argument("--out", default="labels.ecsv", metavar="FILE", help="the table to write (default: labels.ecsv)")
    return parser


def _add_surveys(add):
    """The commands that make or check the data."""
    one = add(fetch, "fetch", "what has arrived is kept; the same command goes on from here")
    one.add_argument("--survey", **(_ON_SURVEY | {"default": "dr17", "help": "a folder in data/ (default: dr17)"}))
    one.add_argument("--fields", nargs="+", metavar="FIELD", help="fields of APOGEE (default: the lab's four)")
    one.add_argument("--limit", type=int, metavar="N", help="so many spectra (default: all giants)")
    one.add_argument("--allstar", metavar="FILE", help="take the catalog from this allStar file of DR17")
    one.add_argument("--verify", action="store_true", help="read all files that are here, and compare checksums")
    one.add_argument("--dry-run", action="store_true", help="say what would be fetched, and how large it is")
    one.add_argument("--probe", action="store_true", help="fetch nothing, but test what lab2 assumes of the archives")

    one = add(simulate, "simulate", "the survey is as it was before; the same command begins anew")
    one.add_argument("--survey", **_ON_SURVEY)
    one.add_argument("--n-stars", type=int, metavar="N", help="how many stars survive the cuts, at least 150")
    one.add_argument("--seed", type=int, metavar="S", help="the seed of its random numbers")

    one = add(survey, "survey")
    one.add_argument("--survey", **_ON_SURVEY)
    one.add_argument("--adopt", action="store_true", help="take the files as they are now: write the manifest anew")


def _add_lab(add):
    """The commands that run notebooks and set their pages."""
    one = add(
        run, "run", "finished notebooks are kept; `make` goes on with the next, this command begins with the first"
    )
    text = "their numbers, such as 04, or paths of other notebooks (default: all of the project)"
    one.add_argument("notebooks", nargs="*", metavar="NN", help=text)
    one.add_argument("--survey", **_ON_SURVEY)
    one.add_argument(
        "--parameters",
        nargs="+",
        type=_parameter,
        default=[],
        action="extend",
        metavar="NAME=VALUE",
        help="parameters of the notebooks; a name that none of them has is refused, and so is survey: see --survey",
    )

    one = add(checkpoints, "checkpoints", "PDFs that were finished are kept; the same command makes all again")
    one.add_argument("--survey", **_ON_SURVEY)
    one.add_argument("--name", default="Firstname_Lastname", help="your name, as Firstname_Lastname")
    one.add_argument("--number", type=int, action="append", help="1, 2 or 3 (default: all three)")

    one = add(report, "report")
    one.add_argument("--survey", **_ON_SURVEY)
    _add_check(add)


def _add_check(add):
    """The command for those who teach the course."""
    one = add(check, "check", "what was judged is kept; the same command goes on with the rest")
    one.epilog = (
        "Exit status: 0 if all notebooks ran to their end (whatever their numbers are), 1 if one did not, 2 if "
        f"something given is wrong. {_NO_SANDBOX}"
    )
    one.add_argument("folder", metavar="FOLDER", help="with <name>.ipynb or <student>/<name>.ipynb")
    one.add_argument("--survey", **_ON_SURVEY)
    one.add_argument("--workers", type=int, metavar="N", help="how many run at a time (default: one a processor)")
    one.add_argument("--minutes", type=float, default=20.0, metavar="M", help="limit of time of each (default: 20)")
    one.add_argument(
        "--memory", type=float, default=8.0, metavar="GB", help="limit of memory of each of its processes (default: 8)"
    )
    one.add_argument("--out", metavar="FOLDER", help="folder of the results (default: FOLDER-checked)")


if __name__ == "__main__":
    sys.exit(main())
