"""The records of a check: a page for the instructor, and two tables for programs."""

import html
import math
from collections.abc import Mapping, Sequence

from astropy.table import Table

from lab2.files import now, replacing, write_table
from lab2.grading.judging import OUTCOMES, RAN, Job
from lab2.grading.numbers import KeyNumber, compared

__all__ = ["counts", "write"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>lab2 check</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em; color: #222 }}
h1 {{ font-size: 1.5em }} h2 {{ font-size: 1.15em; margin: 2em 0 .4em }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ padding: .25em .7em; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top }}
th {{ font-weight: 600; border-bottom: 2px solid #888 }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
tr.reference td {{ background: #f2f2f2 }}
td.differs {{ background: #fbe3d6; font-weight: 600 }}
code {{ font-size: .92em }} .note {{ color: #555; max-width: 60em }}
</style></head><body>
<h1>lab2 check: {title}</h1>
<p class="note">{about}</p>
{tables}
</body></html>
"""
_SUMMARY = ("file", "notebook", "outcome", "cell", "cause", "minutes", "same", "differs")
_MINUS = "\N{MINUS SIGN}"


def counts(records: Sequence[dict]) -> dict[str, int]:
    """Number of notebooks with each outcome that occurred."""
    found = {outcome: sum(record["outcome"] == outcome for record in records) for outcome in OUTCOMES}
    return {outcome: n for outcome, n in found.items() if n}


def write(records: Sequence[dict], reference: Mapping[str, Sequence[KeyNumber]], job: Job) -> None:
    """Write check.html, check.ecsv and numbers.ecsv into the folder of the records.

    Parameters
    ----------
    records : list of dict
        As from `lab2.grading.judging.judge`.
    reference : dict of str to list of KeyNumber
        Those of the project's notebooks, by notebook number.
    job : lab2.grading.judging.Job
    """
    rows = {record["file"]: _compared(record, reference) for record in records}
    meta = {"survey": job.survey, "minutes": job.limits.minutes, "memory": job.limits.memory}
    summary = Table(rows=[_line(record, rows[record["file"]]) for record in records], names=_SUMMARY, meta=meta)
    write_table(job.out / "check.ecsv", summary)
    long = [
        {"file": record["file"], "notebook": record["number"]} | row
        for record in records
        for row in rows[record["file"]]
    ]
    names = ("file", "notebook", "name", "unit", "value", "reference", "tolerance", "verdict")
    write_table(job.out / "numbers.ecsv", Table(rows=long or None, names=names, meta=meta))
    with replacing(job.out / "check.html") as part:
        part.write_text(_page(records, rows, reference, job), encoding="utf-8")


def _compared(record, reference):
    numbers = [KeyNumber(**number) for number in record["numbers"]]
    return compared(numbers, reference.get(record["number"], ()))


def _line(record, rows):
    same, differs = (sum(row["verdict"] in which for row in rows) for which in (("same",), ("differs", "missing")))
    return (
        record["file"],
        record["number"] or "?",
        record["outcome"],
        record["cell"],
        record["cause"] or record["problem"],
        round(record["seconds"] / 60, 2),
        same,
        differs,
    )


def _page(records, rows, reference, job):
    numbers = sorted({record["number"] for record in records if record["number"]})
    tables = [_summary(records, rows)]
    for number in numbers:
        some = [record for record in records if record["number"] == number]
        tables.append(_of_notebook(number, some, rows, reference.get(number, ())))
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in counts(records).items())
    about = (
        f"{len(records)} notebooks on the survey {job.survey}, {now()}: {outcomes}. Limits: {job.limits.minutes:g} "
        f"minutes and {job.limits.memory:g} GB each. A number is the same within the tolerance below the reference: "
        "counts must agree, other numbers to within a standard error or a few per cent. ≠ marks those that differ, a "
        "dash those that were not saved. A student may have good reasons to differ."
    )
    return _PAGE.format(title=html.escape(job.out.name), about=html.escape(about), tables="\n".join(tables))


def _summary(records, rows):
    head = "".join(f"<th>{name}</th>" for name in ("file", "notebook", "outcome", "cell", "cause"))
    head += "".join(f'<th class="number">{name}</th>' for name in ("minutes", "same", "differ"))
    body = []
    for record in records:
        file, number, outcome, cell, cause, minutes, same, differs = _line(record, rows[record["file"]])
        texts = f"<td>{html.escape(file)}</td><td>{html.escape(number)}</td>"
        texts += f'<td class="{"ran" if outcome == RAN else "differs"}">{outcome}</td>'
        texts += f"<td><code>{html.escape(cell)}</code></td><td>{html.escape(cause)}</td>"
        texts += "".join(f'<td class="number">{value}</td>' for value in (f"{minutes:.1f}", same, differs))
        body.append(f"<tr>{texts}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _of_notebook(number, records, rows, known):
    """The key numbers of all students' notebooks with one number, the reference first."""
    if not known:
        return ""
    names = [f"{one.name} [{one.unit}]" if one.unit else one.name for one in known]
    head = "<th>file</th>" + "".join(f'<th class="number">{html.escape(name)}</th>' for name in names)
    lines = [("reference", [(_shown(one.value, one.tolerance), "number") for one in known])]
    lines.append(("tolerance", [(_shown(one.tolerance, one.tolerance), "number") for one in known]))
    for record in records:
        found = {row["name"]: row for row in rows[record["file"]]}
        lines.append((record["file"], [_cell(found[one.name]) for one in known]))
    body = ""
    for file, cells in lines:
        kind = ' class="reference"' if file in ("reference", "tolerance") else ""
        texts = "".join(f'<td class="{style}">{text}</td>' for text, style in cells)
        body += f"<tr{kind}><td>{html.escape(file)}</td>{texts}</tr>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<h2>Notebook {html.escape(number)}</h2><div class="wide">{table}</div>'


def _cell(row):
    text = _shown(row["value"], row["tolerance"])
    return (text, "number") if row["verdict"] == "same" else (f"≠ {text}", "number differs")


def _shown(value, tolerance):
    """A number rounded to the second digit of its tolerance; counts are not rounded."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() and not tolerance:
        return f"{value:.0f}".replace("-", _MINUS)
    digits = max(0, 1 - math.floor(math.log10(tolerance))) if tolerance > 0 else 4
    return f"{value:.{digits}f}".replace("-", _MINUS)
