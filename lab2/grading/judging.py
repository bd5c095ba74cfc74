"""Check one notebook: run a copy of it and record the result."""

import json
import re
import shutil
import tempfile
import threading
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from lab2._text import visible
from lab2.files import replacing, sha256
from lab2.grading import isolation
from lab2.grading.finding import Submission
from lab2.grading.isolation import Limits
from lab2.survey import build_folder, home, survey_folder

__all__ = ["FAILED", "OUTCOMES", "RAN", "REFUSED", "TIMED_OUT", "Job", "judge", "known"]

RAN, FAILED, TIMED_OUT, REFUSED = OUTCOMES = ("ran", "failed", "timed out", "not run")

_READING = 3.0  # minutes to read a notebook's results
_KEPT_LOG = 100_000  # last bytes of the output
_LARGEST_NOTE = 10_000_000  # bytes of the reader's output


@dataclass(frozen=True)
class Job:
    """Settings common to all notebooks of a check.

    Attributes
    ----------
    survey : str
    limits : Limits
    out : pathlib.Path
        The folder of the records.
    """

    survey: str
    limits: Limits
    out: Path

    def given(self, submission: Submission) -> dict:
        """The conditions of a record, which is valid as long as they do not change."""
        return {
            "notebook": submission.digest,
            "manifest": sha256(survey_folder(self.survey) / "manifest.json"),
            "lab2": metadata.version("lab2"),
        }


def known(submission: Submission, job: Job) -> dict | None:
    """The record of an earlier check of the same notebook on the same survey, or None.

    A notebook that ran to its end is not run again when the limits change; the others are.
    """
    path = job.out / submission.key / "record.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        same = record["given"] == job.given(submission)
        return record if same and (record["outcome"] == RAN or record["limits"] == asdict(job.limits)) else None
    except (ValueError, KeyError, TypeError):
        return None  # truncated: the notebook is run again


def judge(submission: Submission, job: Job, stop: threading.Event | None = None) -> dict:
    """Execute a copy of one notebook, and keep its record, its outputs and its log in a folder.

    Parameters
    ----------
    submission : lab2.grading.finding.Submission
    job : Job
    stop : threading.Event, optional
        Ends it when set; nothing is kept then.

    Returns
    -------
    dict
        file, number (of the notebook of the lab), outcome (one of `OUTCOMES`), cell, cause, seconds, numbers and
        problem (why there are none); given and limits, the conditions under which it is valid.
    """
    record = {"file": submission.name, "number": submission.number, "given": job.given(submission)}
    record |= {"limits": asdict(job.limits), "cell": "", "seconds": 0.0, "numbers": [], "problem": ""}
    kept = job.out / submission.key
    if kept.is_dir():
        shutil.rmtree(kept)
    kept.mkdir(parents=True)
    if not submission.digest:
        record |= {"outcome": REFUSED, "cause": "a link or a folder, not a file"}
    else:
        # two folders: a notebook may leave files in its own that cannot be removed
        with _temporary() as own, _temporary() as ours:
            record |= _executed(submission, job, (Path(own), Path(ours)), stop)
    with replacing(kept / "record.json") as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _temporary():
    return tempfile.TemporaryDirectory(prefix="lab2-check-", ignore_cleanup_errors=True)


def _executed(submission, job, folders, stop):
    """The part of a record that comes from a run."""
    (own, ours), kept = folders, job.out / submission.key
    copy, log = own / "source" / "notebook.ipynb", ours / "log.txt"
    copy.parent.mkdir()
    shutil.copyfile(submission.path, copy)
    _fill_home(own / "lab2", job.survey)
    ended = isolation.run(["-m", "lab2", "run", str(copy), "--survey", job.survey], own, log, job.limits, stop)
    printed = _tail(log).replace(str(copy), submission.name)
    (kept / "log.txt").write_text(printed, encoding="utf-8")
    left = _left_behind(submission.number, job, (own, ours), stop)
    executed = Path(left["executed"] or "")
    if own in executed.parents and executed.is_file() and not executed.is_symlink():
        shutil.copyfile(executed, kept / "executed.ipynb")
    verdict = _verdict(submission.name, ended, printed, left, job.limits)
    return verdict | {"seconds": ended.seconds} | {name: left[name] for name in ("number", "numbers", "problem")}


def _left_behind(number, job, folders, stop):
    """The output of `lab2.grading.reading`, run in a process with limits."""
    own, ours = folders
    note = ours / "note.json"
    arguments = (own / "lab2", job.survey, number, build_folder(job.survey), note)
    command = ["-m", "lab2.grading.reading", *map(str, arguments)]
    isolation.run(command, ours, ours / "reader.txt", Limits(_READING, job.limits.memory, job.limits.threads), stop)
    if note.is_file() and note.stat().st_size < _LARGEST_NOTE:
        return json.loads(note.read_text(encoding="utf-8"))
    problem = "its results could not be read"
    return {"executed": None, "running": "", "number": number, "numbers": [], "problem": problem}


def _fill_home(folder, survey):
    """A home with links to the survey's data and the reference's results: deleting a file deletes only the link."""
    data, build = survey_folder(survey), build_folder(survey)
    files = [*(path for path in data.rglob("*") if path.is_file()), *(p for p in data.parent.iterdir() if p.is_file())]
    files += [path for path in build.glob("[0-9][0-9]_*") if path.suffix in (".nc", ".ecsv")]
    for file in files:
        link = folder / file.relative_to(home())
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())


def _tail(log):
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _KEPT_LOG))
        return file.read().decode(errors="backslashreplace")


def _verdict(name, ended, printed, left, limits):
    """Outcome, cell and cause, from the status of `lab2 run` and the three lines that it prints after a failure."""
    cells, causes = (re.findall(rf"^ +{word}: (.*)$", printed, re.MULTILINE) for word in ("cell", "cause"))
    lines = [line for line in printed.splitlines() if line.strip()]
    last = lines[-1].removeprefix("lab2: error: ") if lines else f"it ended with status {ended.status}"
    cell, cause = (cells or [left["running"]])[-1], (causes or [last])[-1]
    outcome = FAILED
    if ended.timed_out:
        outcome, cell, cause = TIMED_OUT, left["running"], f"not finished after {limits.minutes:g} minutes"
    elif ended.status == 0:
        outcome, cell, cause = RAN, "", ""
    elif ended.status == 2 and not left["executed"] and name in cause:  # `lab2 run` rejected it
        outcome, cell = REFUSED, ""
    return {"outcome": outcome, "cell": cell and visible(cell), "cause": cause and visible(cause)}
