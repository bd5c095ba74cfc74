"""Check the notebooks of a whole folder, several at a time."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from lab2._command import command
from lab2._failure import Failure
from lab2.grading import tables
from lab2.grading.finding import find
from lab2.grading.isolation import Limits
from lab2.grading.judging import Job, judge, known
from lab2.grading.numbers import key_numbers
from lab2.grading.products import Products
from lab2.report import run
from lab2.survey import build_folder, figure_folder, home, survey_folder
from lab2.survey import check as check_survey

__all__ = ["check"]


def check(
    folder: str | os.PathLike,
    survey: str,
    limits: Limits,
    workers: int = 1,
    out: str | os.PathLike | None = None,
    progress: bool = True,
) -> tuple[list[dict], Path]:
    """Execute students' notebooks and compare their key numbers with those of the project's notebooks.

    Each runs in a separate process with its own temporary folder, HOME and LAB2_HOME, with limits of time and memory
    and without the caller's environment. It reads the survey and the results of the project's notebooks. A notebook
    that has not changed since it was checked is not run again.

    Parameters
    ----------
    folder : path-like
        With <name>.ipynb or <student>/<name>.ipynb.
    survey : str
        The survey, on which the project's notebooks must have been run: they are the reference.
    limits : lab2.grading.isolation.Limits
        For each notebook.
    workers : int
        Number of notebooks that run at a time.
    out : path-like, optional
        Folder of the results, by default <folder>-checked beside `folder`. It contains check.html, check.ecsv,
        numbers.ecsv, and a folder for each notebook with record.json, log.txt and executed.ipynb.
    progress : bool
        Show a progress bar.

    Returns
    -------
    records : list of dict
        As from `lab2.grading.judging.judge`, in the order of the files.
    out : pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is no notebook in the folder, or no reference for it.
    ValueError
        If `workers` is not positive, or `out` lies in `folder`.
    Failure
        If a file of the survey or of the reference changed while notebooks ran.
    """
    folder = Path(folder).resolve()
    out = Path(out).resolve() if out else folder.with_name(f"{folder.name}-checked")
    if workers < 1:
        raise ValueError(f"the number of workers must be at least 1, not {workers}")
    if out == folder or folder in out.parents:
        raise ValueError(f"the results cannot be in the folder of the notebooks: {out}; give another --out")
    stems = [source.stem for source in run.find()]
    submissions = find(folder, stems)
    check_survey(survey, progress=False)
    reference = _reference(survey, {submission.number for submission in submissions})
    job = Job(survey, limits, out)
    records = _judged(submissions, job, workers, progress)
    tables.write(records, reference, job)
    return records, out


def _judged(submissions, job, workers, progress):
    """The record of each submission; those already known are not run."""
    records = {submission: known(submission, job) for submission in submissions}
    new = [submission for submission, record in records.items() if record is None]
    before, stop = _state(job.survey), threading.Event()
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(new), unit="notebook", disable=not progress) as bar:
        running = {pool.submit(judge, submission, job, stop): submission for submission in new}
        try:
            for future in as_completed(running):
                records[running[future]] = future.result()
                bar.update()
                if changed := _changed(before, _state(job.survey)):
                    suspects = [one for other, one in running.items() if other is future or other.running()]
                    stop.set()
                    raise _spoiled(changed, suspects, job)
        finally:  # on interruption: running notebooks are ended, waiting ones not started
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return [records[submission] for submission in submissions]


def _reference(survey, numbers):
    """The key numbers of the project's notebooks, by notebook number."""
    lacking = [source for source in run.find() if not run.executed(source, survey).is_file()]
    needed = [source.stem for source in lacking if source.stem[:2] <= max(numbers)]
    advice = f"run: make lab SURVEY={survey} (or {command(f'run --survey {survey}')})"
    if needed:
        raise FileNotFoundError(
            f"there is no reference for these notebooks: {', '.join(needed)} not run on survey {survey!r}; {advice}"
        )
    build, figures, found = build_folder(survey), figure_folder(survey), {}
    for number in sorted(numbers - {""}):
        try:
            found[number] = key_numbers(Products(number, build, figures, build))
        except (FileNotFoundError, ValueError) as problem:
            raise type(problem)(
                f"the reference, notebook {number} on survey {survey!r}: {problem}; {advice}"
            ) from problem
    return found


def _state(survey):
    """Size and modification times of each file of the survey and the reference."""
    files = [path for path in survey_folder(survey).rglob("*") if path.is_file()]
    files += [path for path in build_folder(survey).glob("[0-9][0-9]_*") if path.suffix in (".nc", ".ecsv")]
    about = {path.relative_to(home()).as_posix(): path.stat() for path in files}
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in about.items()}


def _changed(before, after):
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _spoiled(changed, suspects, job):
    """The failure of a check during which files of the lab changed; records of notebooks then running are void."""
    for submission in suspects:
        (job.out / submission.key / "record.json").unlink(missing_ok=True)
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return Failure(
        f"files of the lab itself changed, and the check has ended: {', '.join(changed[:3])}{more}. It was one of the "
        f"notebooks that ran: {', '.join(submission.name for submission in suspects)}. Remake the survey and its "
        f"results (make lab SURVEY={job.survey}), and check these notebooks in a container"
    )
