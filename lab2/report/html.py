"""Tables as plain HTML, which JupyterLab shows and the PDF exporter sets."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, Table

from lab2._text import visible
from lab2.labels import LABELS
from lab2.report.words import MINUS, measured, symbol

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["html_table", "with_errors"]

_AXES = {label.name: label.axis for label in LABELS}


def html_table(table: Table | DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A table as plain HTML: names, units if any, and values, all as text and not markup.

    The labels' names become their symbols, in the heads and in the cells; with their units in a column "label".

    Parameters
    ----------
    table : astropy.table.Table or pandas.DataFrame
        The table.
    formats : dict, optional
        Column to format, such as {"bias": ".2f"}. Other floats get four digits.

    Returns
    -------
    str
    """
    formats = formats or {}
    columns = list(_columns(table))
    if unknown := set(formats) - {name for name, _, _ in columns}:
        raise ValueError(f"formats for columns that the table lacks: {', '.join(sorted(unknown))}")
    rows = ["".join(f"<th>{_named(name) or _literal(name)}</th>" for name, _, _ in columns)]
    if any(unit for _, unit, _ in columns):
        rows.append("".join(f"<th>{_literal(unit)}</th>" for _, unit, _ in columns))
    head = "".join(f"<tr>{row}</tr>" for row in rows)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for cells in zip(*(_cells(name, values, formats.get(name)) for name, _, values in columns), strict=True)
    )
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def with_errors(table: Table) -> Table:
    """The table with each column x and its error x_error as one, "x ± error".

    Parameters
    ----------
    table : astropy.table.Table
        Such as `lab2.validation.statistics` makes.

    Returns
    -------
    astropy.table.Table
        The other columns are those of `table`.
    """
    merged = Table()  # a QTable takes no text with a unit
    for name in table.colnames:
        if name.removesuffix("_error") in table.colnames and name.endswith("_error"):
            continue
        column = table[name]
        if f"{name}_error" in table.colnames:
            values, errors = (getattr(table[x], "value", table[x]) for x in (name, f"{name}_error"))
            texts = [measured(value, error) for value, error in zip(values, errors, strict=True)]
            column = Column(texts, unit=getattr(column, "unit", None), dtype=str)
        merged[name] = column
    return merged


def _named(text, names=None):
    """HTML of a label by its symbol, which may be a formula; "" for other texts."""
    shown = (names or {}).get(text, symbol(text))
    return html.escape(shown) if shown != text else ""


def _cells(name, values, style):
    """The cells of a column."""
    names = _AXES if name == "label" else None
    texts = [_text(value, style) for value in values]
    return [_named(text, names) or _literal(text) for text in texts]


def _literal(text):
    """HTML of text from outside; single $ and backslashes are isolated, so that no formula begins or ends."""
    return re.sub(r"[\\$]", r"<span>\g<0></span>", html.escape(visible(text))) if text else ""


def _columns(table):
    """Name, unit and values of each column."""
    if isinstance(table, Table):
        for name in table.colnames:
            column = table[name]
            unit = getattr(column, "unit", None)
            yield name, str(unit or ""), getattr(column, "value", column)
        return
    index = table.index
    if index.name is not None or index.dtype.kind not in "iu":
        yield str(index.name or ""), "", index
    for name in table.columns:
        yield str(name), "", table[name]


def _text(value, style):
    """One cell: a number with a true minus sign, a dash where there is none."""
    if value is np.ma.masked or value != value:  # NaN alone differs from itself
        return "–"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return format(value, style or "")
    if style is None:
        style = "d" if isinstance(value, int | np.integer) else ".4g"
    return format(value, style).replace("-", MINUS)
