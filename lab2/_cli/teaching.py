"""The command for instructors of the course."""

import os

from lab2._cli.data import ON_SURVEY

__all__ = ["add_commands"]

_NO_SANDBOX = (
    "This is not a sandbox: a notebook runs as you, and can read, change, delete and send what you can. Check "
    "notebooks that you do not trust in a container, or as a separate user, without network."
)


def check(chosen):
    """Execute a folder of students' notebooks, and compare their key numbers with those of the project's notebooks."""
    from lab2._failure import Failure
    from lab2._lock import alone
    from lab2.grading import check as judged
    from lab2.grading import isolation, tables
    from lab2.survey import build_folder

    workers = chosen.workers or os.cpu_count() or 1
    limits = isolation.Limits(chosen.minutes, chosen.memory, max(1, (os.cpu_count() or 1) // workers))
    with alone(build_folder(chosen.survey), wait=True):  # no other run changes the reference meanwhile
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


def add_commands(add):
    """Describe the commands of this module."""
    one = add(check, "check", "finished checks are kept; run the same command to continue")
    one.epilog = (
        "Exit status: 0 if all notebooks ran to their end (whatever their numbers are), 1 if one did not, 2 if "
        f"an input is wrong. {_NO_SANDBOX}"
    )
    one.add_argument("folder", metavar="FOLDER", help="with <name>.ipynb or <student>/<name>.ipynb")
    one.add_argument("--survey", **ON_SURVEY)
    one.add_argument("--workers", type=int, metavar="N", help="number that run at a time (default: one per core)")
    one.add_argument("--minutes", type=float, default=20.0, metavar="M", help="time limit of each (default: 20)")
    one.add_argument(
        "--memory", type=float, default=8.0, metavar="GB", help="memory limit of each process (default: 8)"
    )
    one.add_argument("--out", metavar="FOLDER", help="folder of the results (default: FOLDER-checked)")
