"""The nbconvert exporter `lab2_pdf`: a notebook as PDF with captions, or an error if anything cannot be typeset."""

import base64
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bs4 import BeautifulSoup
from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from traitlets import Bool

from lab2._text import visible
from lab2.report import typeset
from lab2.report.typeset import Piece, inline, literal, picture

__all__ = ["PDFExporter"]

_PICTURES = {
    "application/pdf": "pdf",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpg",
}  # best first
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROGRESS = re.compile(r"\d+%\||it/s|s/it|\d+it \[")
_ROWS_TOGETHER = 25
# The parts of a report: what stands around the text of a cell.
_PARTS = {
    "abstract": lambda text: f"{inline('#abstract[')}\n\n{text}\n\n{inline(']')}",
    "contents": lambda text: inline("#contents()"),
    "appendix": lambda text: inline("#show: appendix"),
    "next item": lambda text: f"{inline('#next-item()')}\n\n{text}",
    "references": lambda text: f"{text}\n\n{inline('#small[')}\n\n::: {{#refs}}\n:::\n\n{inline(']')}",
}
_NUMBER = re.compile(r"[−–+-]?[\d.,]*(e[−+-]?\d+)?( ?%)?")


class PDFExporter(Exporter):
    """Converts a notebook to PDF by pandoc and Typst.

    A notebook's metadata may hold, under "lab2": "title" (without it the first heading serves), "author", "date" (year,
    month, day), "notes" (lines under the title), "foot" (of each page), "simulated" (whether the page heads say
    "Simulated survey"), "numbered" (headings), "floats" (whether figures move to where there is room) and "one_page"
    (whether figures are made smaller to bring all onto one page). A cell's may hold "origin" (its notebook and number),
    "depth" (by which its headings go down) and "part": one of the parts of a report, "abstract", "contents", "appendix"
    or "references", or the "next item" of a checkpoint. An output that carries the metadata
    {"lab2": {"role": "caption"}} is the caption of the figure or table before it.

    Raises
    ------
    ValueError
        If something cannot be set: a formula, a picture, an output of unknown type. The message
        names the cell.
    """

    export_from_notebook = "Lab report (PDF)"
    output_mimetype = "application/pdf"
    exclude_input = Bool(False, help="Leave the code out.").tag(config=True)

    def _file_extension_default(self):
        return ".pdf"

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict | None = None, **keywords: Any
    ) -> tuple[bytes, dict]:
        """Set one notebook.

        Parameters
        ----------
        nb : nbformat.NotebookNode
            The notebook, executed.
        resources : dict, optional
            Information from nbconvert: its name, and the folder of its pictures.

        Returns
        -------
        pdf : bytes
        resources : dict
        """
        nb, resources = super().from_notebook_node(nb, resources, **keywords)
        about = nb.metadata.get("lab2", {})
        name = resources["metadata"].get("name", "notebook")
        title = about.get("title") or _take_title(nb) or name
        head = {key: about[key] for key in ("author", "date", "foot", "numbered", "one_page") if key in about}
        head |= {"title": title, "notes": [visible(note) for note in about.get("notes", ())]}
        head["running"] = "Simulated survey" if about.get("simulated") else ""
        with tempfile.TemporaryDirectory() as work:
            pieces, labels = [], set()
            for number, cell in enumerate(nb.cells, start=1):
                known = cell.metadata.get("lab2", {})
                where = known.get("origin", f"{name}, cell {number}")
                floats = about.get("floats", False) and known.get("floats", True)
                writer = _Cell(where, number, Path(work), self.exclude_input, floats)
                text = _PARTS[known["part"]](writer.markdown(cell)) if "part" in known else writer.markdown(cell)
                labels |= writer.labels
                if text:
                    pieces.append(Piece(where, text, known.get("depth", 0)))
            pdf = typeset.pdf(pieces, work, head, labels, source=resources["metadata"].get("path") or ".")
        return pdf, resources


class _Cell:
    """One cell as Markdown; its pictures go to the working folder."""

    def __init__(self, where, number, work, exclude_input, floats):
        self.where, self.number, self.work = where, number, work
        self.exclude_input, self.floats = exclude_input, floats
        self.pictures, self.labels = 0, set()

    def markdown(self, cell):
        if cell.cell_type == "markdown":
            return self.prose(cell)
        if cell.cell_type != "code":
            return ""
        parts = []
        if cell.source.strip() and not self.exclude_input and "hide-input" not in cell.metadata.get("tags", ()):
            parts.append(inline(f"#code({literal(cell.source)})"))
        outputs = list(cell.outputs)
        while outputs:
            output = outputs.pop(0)
            if _is_caption(output):
                raise ValueError(f"{self.where}: a caption stands after no figure or table")
            caption = outputs.pop(0) if outputs and _is_caption(outputs[0]) else None
            parts.append(self.output(output, caption and self.caption(caption, cell)))
        return "\n\n".join(part for part in parts if part)

    def caption(self, output, cell):
        """Text of a caption, with the cell that made it, and the label by which it is referred to."""
        about = output.metadata["lab2"]
        text, label = about.get("text", output.data["text/markdown"]), about.get("label")
        if label is None:
            return text, ""
        self.labels.add(label)
        count = f", [{cell.execution_count}]" if cell.execution_count else ""
        return f"{text} {inline('#made-by[')}{label[4:6]}{count}{inline(']')}", label

    def prose(self, cell):
        """A Markdown cell, the pictures that are attached to it brought along."""
        text = cell.source
        for name, forms in cell.get("attachments", {}).items():
            mime, payload = next(iter(forms.items()))
            if mime not in _PICTURES:
                raise ValueError(f"{self.where}: the attachment {name} is no picture but {mime}")
            kept = self.keep(mime, payload)
            for written in (name, quote(name)):
                text = text.replace(f"attachment:{written}", kept)
        return text

    def output(self, output, caption):
        """One output as Markdown, with its caption if it has one."""
        if output.output_type == "stream":
            text = _settled(output.text)
            return "" if output.name == "stderr" or not text else inline(f"#printed({literal(text)})")
        if output.output_type == "error":
            return inline(f"#failed({literal(_settled(chr(10).join(output.traceback)))})")
        if _role(output) == "zoom":  # the picture that it enlarges is already shown
            return ""
        data = output.data
        for mime in _PICTURES:
            if mime in data:
                return _figure(inline(picture(self.keep(mime, data[mime]))), "image", caption, self.floats)
        if "text/html" in data and (found := _table(data["text/html"])):
            table, rows = found
            # a table of ordinary length stays on one page; a longer one has to break, or it would be cut off
            long = rows > _ROWS_TOGETHER
            return _figure(table, "table", caption, self.floats and not long, breaks=long)
        if caption is not None:
            raise ValueError(f"{self.where}: a caption stands after no figure or table")
        if "text/markdown" in data:
            return data["text/markdown"]
        if "text/latex" in data:
            return re.sub(r"^\$\\displaystyle (.*)\$$", r"$$\1$$", data["text/latex"].strip(), flags=re.S)
        text = _settled(data.get("text/plain", ""))
        if any(mime.startswith("application/vnd.jupyter.widget") for mime in data):
            if _PROGRESS.search(text):
                return ""
            raise ValueError(f"{self.where}: a widget cannot be set: {text[:80]}")
        if "text/plain" not in data:
            raise ValueError(f"{self.where}: an output of the kind {', '.join(data)} cannot be set")
        return inline(f"#printed({literal(text)})") if text else ""

    def keep(self, mime, payload):
        """Write a picture to the working folder; its name there."""
        self.pictures += 1
        name = f"cell-{self.number}-{self.pictures}.{_PICTURES[mime]}"
        picture = payload.encode() if mime == "image/svg+xml" else base64.b64decode(payload)
        (self.work / name).write_bytes(picture)
        return name


def _figure(content, kind, caption, floats, breaks=False):
    """A numbered figure or table if there is a caption, else the object alone, centered."""
    if caption is None:
        return inline("#align(center,") + content + inline(")")
    text, label = caption
    place = "placement: auto, " if floats else ""
    opened = inline(f"#[#show figure: set block(breakable: {str(breaks).lower()});")
    opened += inline(f"#figure(kind: {kind}, {place}caption: [#[];") + " ".join(text.split())
    return opened + inline("],") + content + inline(f") <{label}>]" if label else ")]")


def _is_caption(output):
    return _role(output) == "caption"


def _role(output):
    """Role of an output: figure, table, caption or zoom; None for others."""
    return output.get("metadata", {}).get("lab2", {}).get("role")


def _take_title(nb):
    """Remove and return the first heading of the notebook's first cell."""
    if not nb.cells or nb.cells[0].cell_type != "markdown":
        return None
    found = re.match(r"\s*# +(.+?)\s*(?:\n|\Z)", nb.cells[0].source)
    if found is None:
        return None
    nb.cells[0].source = nb.cells[0].source[found.end() :]
    return re.sub(r"[*`]", "", found[1])  # the title is plain text


def _settled(text):
    """Terminal text as displayed at the end: without colors, and with carriage returns applied."""
    lines = _ESCAPE.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines).strip("\n")


def _table(html):
    """The only table of a piece of HTML and its number of rows, or None."""
    soup = BeautifulSoup(html, "html.parser")
    tables = soup.find_all("table")
    if len(tables) != 1:
        return None
    rows = [row.find_all(["td", "th"]) for row in tables[0].find_all("tr")]
    heads = sum(1 for row in rows if row[0].find_parent("thead") or all(cell.name == "th" for cell in row))
    if any(cell.has_attr("colspan") or cell.has_attr("rowspan") for row in rows for cell in row):
        return None
    texts = [[" ".join(cell.get_text().split()) for cell in row] for row in rows]
    numeric = [all(_NUMBER.fullmatch(text) for text in column[heads:]) for column in zip(*texts, strict=True)]
    align = ", ".join("right" if number else "left" for number in numeric)
    cells = (inline("[#[];") + _escaped(cell) + inline("], ") for row in rows for cell in row)
    opened = inline(f"ruled(columns: {len(numeric)}, align: ({align},), head: {heads}, ")
    return opened + "".join(cells) + inline(")"), len(rows)


def _escaped(cell):
    """What a table's cell says, in Markdown that means just that. A formula lies in one element, as in JupyterLab."""
    texts = (re.sub(r"(?P<formula>\$[^$]+\$)|[^\w\s]|_", _escape, text) for text in cell.strings)
    return " ".join("".join(texts).split())


def _escape(found):
    if found["formula"]:
        return found[0]
    return inline(r"\$") if found[0] == "$" else f"\\{found[0]}"
