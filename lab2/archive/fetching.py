"""A survey of SDSS DR17 on disk: determine which files are missing, and fetch them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from lab2 import catalog
from lab2._command import command
from lab2._lock import alone
from lab2.archive import stars
from lab2.archive import table as catalog_table
from lab2.archive.columns import PLAIN_NAME
from lab2.archive.course import course_file
from lab2.archive.parallel import fetch_all
from lab2.archive.web import ArchiveError, words
from lab2.files import replacing, sha256
from lab2.survey import manifest, survey_folder, write_manifest

__all__ = ["Plan", "fetch", "plan"]

# Fraction of the spectra that may be missing without an error.
TOLERATED = 0.05


@dataclass
class Plan:
    """The files that a survey still lacks.

    Attributes
    ----------
    folder : pathlib.Path
        The survey's folder.
    table : astropy.table.Table
        Its catalog.
    record : dict
        The source of the catalog.
    new : bool
        Whether the catalog must still be written to the folder.
    recorded : dict
        Files in the manifest, with size and SHA-256.
    present : int
        Number of spectra that are on disk already.
    downloads : list of Download
        Spectra to fetch.
    damaged : dict of pathlib.Path to str
        Damaged files and what is wrong with them; they are fetched again.
    refused : dict of str to str
        Spectra that will not be fetched, and the reason.
    """

    folder: Path
    table: Table
    record: dict
    new: bool
    recorded: dict = field(default_factory=dict)
    present: int = 0
    downloads: list = field(default_factory=list)
    damaged: dict = field(default_factory=dict)
    refused: dict = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Approximate total size of the files to fetch [bytes]."""
        return sum(download.expected for download in self.downloads)

    @property
    def free(self) -> int:
        """Free disk space [bytes]."""
        there = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        return shutil.disk_usage(there).free


def plan(
    survey: str = "dr17",
    fields: Sequence[str] | None = None,
    limit: int | None = None,
    allstar: str | os.PathLike | None = None,
    verify: bool = False,
) -> Plan:
    """Determine which files a survey lacks. The catalog is queried if it is not on disk; nothing is written.

    Parameters
    ----------
    survey : str
        The survey's name; its folder is data/<survey>.
    fields : sequence of str, optional
        Fields of APOGEE; default: those of the catalog on disk, or the lab's four fields if there is none.
    limit : int, optional
        Number of spectra, spread over the catalog; default: those of all giants that pass the cuts of problem 1.
    allstar : path-like, optional
        An allStar file of DR17 to read the catalog from, instead of SkyServer.
    verify : bool
        Read every spectrum on disk, and compare it with the manifest.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the survey is a simulated one, its catalog is not the one requested, or `limit` is below 1.
    ArchiveError
        If the catalog cannot be fetched.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; give the number of spectra to fetch, at least 1")
    folder, recorded = survey_folder(survey), {}
    if (folder / "manifest.json").is_file():
        about = manifest(survey)
        if about["simulated"]:
            raise ValueError(f"survey {survey!r} is a simulated one; choose another name for real data with --survey")
        recorded = about["files"]
    result = Plan(folder, *catalog_table.obtain(survey, fields, allstar), recorded)
    giants, _ = catalog.select_giants(result.table)
    giants = giants[_spread(giants, limit)]
    _look(result, giants, catalog.spectrum_paths(giants, survey), verify)
    return result


def fetch(plan: Plan) -> tuple[dict, list[str]]:
    """Fetch the files of a plan, and write the survey's manifest.

    Complete files are always kept: after an interruption, plan and fetch again. A damaged file is renamed to
    .damaged-<name>.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    manifest : dict
        The survey's manifest; its entry `missing` lists the spectra that could not be fetched, with the reasons.
    notes : list of str
        Messages about anything else that failed.

    Raises
    ------
    ArchiveError
        If there is not enough disk space, the archive is down, or more than 5 % of the spectra could not be fetched.
    OSError
        If another process is fetching this survey.
    """
    if plan.size > 0.95 * plan.free:
        raise ArchiveError(
            f"about {plan.size / 1e9:.1f} GB are to be fetched into {plan.folder}, where {plan.free / 1e9:.1f} GB are "
            "free; make room, or fetch fewer spectra with --limit"
        )
    plan.folder.mkdir(parents=True, exist_ok=True)
    with alone(plan.folder):
        if plan.new:
            plan.record = catalog_table.save(plan.folder, plan.table, plan.record)
        for path in plan.damaged:
            os.replace(path, path.with_name(f".damaged-{path.name}"))
        failed = fetch_all(plan.downloads, "spectra") if plan.downloads else {}
        missing = {path.relative_to(plan.folder).as_posix(): reason for path, reason in failed.items()} | plan.refused
        wanted = plan.present + len(plan.downloads) + len(plan.refused)
        if len(missing) > TOLERATED * wanted:
            raise ArchiveError(
                "\n".join(f"missing: {name}: {reason}" for name, reason in missing.items())
                + f"\n{len(missing)} of {wanted} spectra could not be fetched. Complete files are kept. Run the same "
                f"command again, or continue without them: {command(f'survey --survey {plan.folder.name}')}"
            )
        notes = _course_files(plan.folder)
        return _manifest(plan, missing), notes


def _look(plan, giants, files, verify):
    """Check which spectra are on disk, and add the others to the plan."""
    owners = {}
    for row, path in zip(giants, files, strict=True):
        owners.setdefault(path, []).append(row)
    for path, rows in tqdm(owners.items(), desc="looking", unit="file", delay=1):
        names = [str(row[name]).strip() for row in rows for name in ("TELESCOPE", "FIELD", "APOGEE_ID")]
        names += [str(row["FILE"]).strip() or path.name for row in rows if "FILE" in row.colnames]
        if not all(PLAIN_NAME.fullmatch(name) for name in [*names, path.name]):
            plan.refused[words(path.name)] = f"the catalog calls it {words(str(names))}, which are not plain names"
            continue
        download = stars.download(rows, path)
        if path.is_file():
            problem = _damage(download, plan.recorded.get(path.relative_to(plan.folder).as_posix()), verify)
            if not problem:
                plan.present += 1
                continue
            plan.damaged[path] = problem
        plan.downloads.append(download)


def _spread(giants, limit):
    """Indices of `limit` giants, spread evenly over the catalog, including the lab's example."""
    if limit is None or limit >= len(giants):
        return np.arange(len(giants))
    chosen = np.linspace(0, len(giants) - 1, limit).round().astype(int)
    example = np.flatnonzero(giants["APOGEE_ID"] == catalog.example_star(giants))
    chosen[np.argmin(np.abs(chosen - example))] = example[0]
    return chosen


def _damage(download, record, verify):
    """What is wrong with a file on disk, "" if nothing is; a file in the manifest is read only if `verify`."""
    if record and download.path.stat().st_size != record["size"]:
        return f"has {download.path.stat().st_size} bytes, by the manifest {record['size']}"
    if record and verify and sha256(download.path) != record["sha256"]:
        return "has another SHA-256 than in the manifest"
    if verify or not record:
        try:
            download.check(download.path)
        except ArchiveError as error:
            return str(error)
    return ""


def _course_files(folder):
    """Fetch the course's files; return messages about those that could not be fetched."""
    notes = []
    for kind in ("continuum", "mystery"):
        try:
            path = course_file(kind)
        except ArchiveError as error:
            notes.append(str(error))
        else:
            if kind == "mystery" and not (folder / "mystery.fits").exists():
                with replacing(folder / "mystery.fits") as part:
                    shutil.copyfile(path, part)
    return notes


def _manifest(plan, missing):
    """The survey's manifest, written only if it has changed."""
    about = {
        "simulated": False,
        "label_tree": plan.record["label_tree"],
        "catalogue": plan.record,
        "missing": missing,
    }
    if (plan.folder / "manifest.json").is_file() and not plan.downloads:
        there = manifest(plan.folder.name)
        new_mystery = (plan.folder / "mystery.fits").is_file() and "mystery.fits" not in there["files"]
        if there | about == there and not new_mystery:
            return there
    fetched = {download.path.relative_to(plan.folder).as_posix() for download in plan.downloads}
    known = {name: record for name, record in plan.recorded.items() if name not in fetched}
    return write_manifest(plan.folder, known, **about)
