"""Typeset Markdown as PDF by pandoc and Typst, both from wheels, and reject whatever cannot be set.

The Markdown comes in pieces, each with the name of its cell, so that an error can say where it is. Links to figures,
headings and papers become references (`lab2.report.references`).
"""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pypandoc
import typst

from lab2._text import printable
from lab2.report import references

__all__ = ["Piece", "inline", "literal", "pdf", "picture"]

# Markdown as JupyterLab reads it, as nearly as pandoc can: no block needs a blank line before it, and "(a)",
# "~" and "@" mean themselves. Raw HTML, TeX and Typst are read as such, so that they can be found and refused.
_READER = (
    "markdown-yaml_metadata_block-citations-example_lists-fancy_lists-subscript-superscript"
    "-blank_before_header-blank_before_blockquote+lists_without_preceding_blankline+autolink_bare_uris"
    "+raw_attribute+raw_html+raw_tex"
)
_TEMPLATE = Path(__file__).with_name("template.typ")
_HEAD = {"author": "", "date": [], "notes": [], "running": "", "foot": "", "numbered": False, "one_page": False}
_SCALES = (1.0, 0.9, 0.8)  # of pictures; smaller ones could not be read
_MARK = "// cell: "  # a Typst comment that begins each cell
# The format of our own raw passages, which texts cannot guess: any other raw passage is rejected, never executed.
_OWN = f"own-{secrets.token_hex(8)}"

# A hyphen before a number that begins a word, perhaps after a bracket: a minus sign.
_MINUS = re.compile(r"^([(\[<>=≤≥~±]*)-(?=\.?\d)")

# Three dots of a text, which Typst would make one character, and dots of what looks like the symbols of `_renamed`; and
# the sign that stands for such a dot, until Typst's code has been written.
_DOT, _KEPT = re.compile(r"\.(?=\.\.|circle|reduce)"), "\ue000"

_OLD_FONT = re.compile(r"\{\\(rm|bf|it|sf|tt|cal)\b\s*((?:[^{}]|\{[^{}]*\})*)\}")
_ROMAN_WORD = re.compile(r"\\mathrm\{\s*([A-Za-z]{2,})\s*\}")
_DISPLAY = re.compile(r"\\begin\{(align|aligned|equation|gather|eqnarray|multline)(\*?)\}(.*)\\end\{\1\2\}", re.S)
_REFUSED = re.compile(r"Could not convert TeX math (.*?), rendering as TeX:\n(.*?)(?=\[WARNING\]|\Z)", re.S)


class Piece(NamedTuple):
    """Markdown of one cell.

    `name` stands in messages, and begins with that of the notebook, as in "05_cross_validation, cell 7". Headings go
    down by `depth` levels.
    """

    name: str
    markdown: str
    depth: int = 0


def literal(text: str) -> str:
    """A Typst string literal; what no font has is written as Python's escape."""
    text = printable(text.replace("\t", "    "))
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def inline(typst_code: str) -> str:
    """Typst code inside a line of Markdown. Markdown may stand between two such pieces."""
    ticks = "`" * (max((len(run) for run in re.findall("`+", typst_code)), default=0) + 1)
    return f"{ticks} {typst_code} {ticks}{{={_OWN}}}" if "`" in typst_code else f"`{typst_code}`{{={_OWN}}}"


def picture(file: str) -> str:
    """Typst code for a picture in the working folder, at its own size or as wide as the page."""
    return f"image({literal(file)})"


def pdf(
    pieces: Sequence[Piece],
    folder: str | os.PathLike,
    head: Mapping[str, object],
    labels: set[str] = frozenset(),
    source: str | os.PathLike = ".",
) -> bytes:
    """Set a document.

    Parameters
    ----------
    pieces : sequence of Piece
        Pictures are named relative to `folder` or to `source`.
    folder : path-like
        A working folder, which may hold pictures.
    head : mapping
        What the template puts around the pieces, all of it plain text: "title", and as needed "author", "date" (year,
        month, day), "notes" (lines under the title), "running" (at the right of each page's head), "foot" (at the left
        of each page's foot), whether headings are "numbered", and whether pictures are made smaller, down to
        80 %, where this brings all onto "one_page".
    labels : set of str
        Of figures and tables in the pieces, to which links refer.
    source : path-like
        A folder of further pictures.

    Returns
    -------
    bytes
        The PDF. Equal input gives equal bytes.

    Raises
    ------
    ValueError
        If a formula, a picture, a character or a piece of HTML or LaTeX cannot be set. The message names the
        cell.
    """
    folder, title = Path(folder), printable(str(head["title"]))
    names = [piece.name for piece in pieces]
    marked = (f"```{{={_OWN}}}\n{index}\n```\n\n{piece.markdown}" for index, piece in enumerate(pieces))
    document = json.loads(_pandoc("\n\n".join(marked), "-f", _READER, "-t", "json")[0])
    where = _check(document, pieces, folder, Path(source))
    stems = [re.match(r"\d\d_\w+", name) for name in where]
    stems = [stem[0] if stem else "" for stem in stems]
    document["blocks"] = references.resolve(document["blocks"], stems, set(labels), _raw_inline)
    document["meta"] |= references.listed(document["blocks"])
    formulas = list(zip(where, document["blocks"], strict=True))
    options = ("--citeproc", f"--bibliography={references.BIBLIOGRAPHY}", "-M", "link-citations=true")
    body, complaints = _pandoc(json.dumps(document), "-f", "json", "-t", "typst", "--wrap=none", *options)
    if refused := _REFUSED.search(complaints):
        tex = refused[1]
        found = (name for name, block in formulas for math in references.formulas(block) if math.strip() == tex.strip())
        why = " ".join(refused[2].split("\n")[-3:]).strip()
        raise ValueError(f"{next(found, title)}: this formula cannot be set: {tex} ({why})")
    if complaints.strip():
        raise ValueError(f"{title}: pandoc complains: {complaints.strip()}")
    shutil.copy(_TEMPLATE, folder / "template.typ")
    typst_code = f'#import "template.typ": *\n#show: lab2.with(json("head.json"))\n{_renamed(body)}'
    (folder / "main.typ").write_text(typst_code, encoding="utf-8")
    about = _HEAD | dict(head)
    about |= {key: printable(str(about[key])) for key in ("title", "author", "running", "foot")}
    # what takes more pages even with small pictures has them in full size, each item on its own page: the last of these
    ways = [(scale, False) for scale in _SCALES] + [(1.0, True)] if about["one_page"] else [(1.0, False)]
    for scale, item_pages in ways:
        about |= {"scale": scale, "item_pages": item_pages}
        (folder / "head.json").write_text(json.dumps(about), encoding="utf-8")
        finished, n_pages = _compile(folder, typst_code, names, title)
        if n_pages == 1:
            break
    return finished


def _pandoc(text, *arguments):
    """Output and warnings of pandoc."""
    done = subprocess.run(
        [pypandoc.get_pandoc_path(), *arguments],
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",  # half of a surrogate pair is no character
        check=False,
    )
    if done.returncode:
        raise ValueError(f"pandoc failed: {done.stderr.strip()}")
    return done.stdout, done.stderr


def _check(document, pieces, folder, source):
    """Fix or reject unsupported elements of pandoc's tree; returns the cell of each block."""
    blocks, names, where, depth, seen = [], [], "", 0, 0

    def visit(node):
        if isinstance(node, list):
            for part in node:
                visit(part)
        if not isinstance(node, dict):
            return
        kind, content = node.get("t"), node.get("c")
        if kind in ("RawInline", "RawBlock"):
            _check_raw(node, where)
        elif kind == "Str" and content in ("$", "$$"):
            raise ValueError(f"{where}: a lone {content} opens no formula; a formula has no space after its first $")
        elif kind == "Str":
            node["c"] = _DOT.sub(_KEPT, _MINUS.sub("\\1\N{MINUS SIGN}", content))
        elif kind == "Image":
            content[2][0] = _fetch(content[2][0], folder, source, where)
        elif kind == "Table":
            # columns as wide as they need, however long the rows of the source are; text at the left
            given = ({"t": "AlignLeft"} if align["t"] == "AlignDefault" else align for align, _ in content[2])
            content[2] = [[align, {"t": "ColWidthDefault"}] for align in given]
        elif kind == "Header":
            content[0] = max(content[0] + depth, 1)
        if node.get("t") == "Math":  # a raw environment has become one
            node["c"][1] = _modern(node["c"][1])
        visit(node.get("c"))

    for block in document["blocks"]:
        if block["t"] == "RawBlock" and block["c"][0] == _OWN:
            piece, seen = pieces[int(block["c"][1])], seen + 1
            where, depth = piece.name, piece.depth
            block["c"] = ["typst", f"{_MARK}{block['c'][1]}"]
        else:
            visit(block)
            if block["t"] == "RawBlock" and block["c"][0] == "math":
                block = {"t": "Para", "c": [{"t": "Math", "c": [{"t": "DisplayMath"}, block["c"][1]]}]}
        blocks.append(block)
        names.append(where)
    if seen != len(pieces):  # a mark was swallowed by what stands before it
        raise ValueError(f"{where}: a block of code, or a comment, is opened and never closed")
    document["blocks"] = blocks
    return names


def _raw_inline(code):
    return {"t": "RawInline", "c": ["typst", code]}


def _check_raw(node, where):
    """Let our own Typst and comments pass, turn bare display environments into formulas, refuse the rest."""
    form, text = node["c"]
    if form == _OWN:
        node["c"] = ["typst", text]
        return
    if form == "html" and re.fullmatch(r"\s*<!--.*?-->\s*", text, re.S):
        return
    if form in ("tex", "latex") and (found := _DISPLAY.fullmatch(text.strip())):
        if node["t"] == "RawInline":
            node.update(t="Math", c=[{"t": "DisplayMath"}, found[0]])
        else:
            node["c"] = ["math", _modern(found[0])]
        return
    what = {"html": "HTML", "tex": "LaTeX outside a formula"}.get(form, f"a raw passage of {form}")
    raise ValueError(f"{where}: {what} cannot be set, write Markdown instead: {text.strip()[:80]}")


def _modern(tex):
    """TeX that pandoc reads: {\\rm eff} as \\text{eff}, and \\AA as the letter."""
    tex = _OLD_FONT.sub(lambda found: f"{{\\math{found[1]}{{{found[2].strip()}}}}}", tex)
    tex = _ROMAN_WORD.sub(r"\\text{\1}", tex)  # one word: its letters keep together
    return re.sub(r"\\AA(?![A-Za-z])", r"\\text{Å}", tex)


def _renamed(body):
    """Symbols by the names that this Typst knows; pandoc still writes older ones."""
    body = re.sub(r"(?<![A-Za-z.])(dot|minus|times)\.circle\b", r"\1.o", body).replace("planck.reduce", "planck")
    return body.replace(_KEPT, r"\u{2e}")


def _fetch(target, folder, source, where):
    """A picture's path inside the working folder, where Typst can read it; one of `source` is copied there."""
    if re.match(r"[a-z]+:", target):
        raise ValueError(f"{where}: a picture that is not a file here cannot be set: {target[:80]}")
    path = Path(unquote(target))
    if not path.is_absolute() and (folder / path).is_file():
        return path.as_posix()
    if not (source / path).is_file():
        raise ValueError(f"{where}: there is no picture {target}")
    kept = f"picture-{len(list(folder.iterdir()))}{path.suffix}"
    shutil.copy(source / path, folder / kept)
    return kept


def _compile(folder, source, names, title):
    """The PDF and the number of its pages."""
    common = {
        "input": str(folder / "main.typ"),
        "format": "pdf",
        "root": str(folder),
        "ignore_system_fonts": True,
    }
    try:
        # PDF/A forbids characters that no font has, which would be holes in the page. It forbids PDF pictures
        # too, so that this first pass leaves the pictures out.
        typst.compile(sys_inputs={"draft": "yes"}, pdf_standards=["a-2u"], **common)
        finished = typst.compile(**common)
        del common["format"]
        return finished, int(typst.query(selector="<pages>", field="value", one=True, **common))
    except typst.TypstError as error:
        found = re.search(r"main\.typ:(\d+)", error.diagnostic)
        above = source.split("\n")[: int(found[1])] if found else []
        marks = [line for line in above if line.startswith(_MARK)]
        where = names[int(marks[-1].removeprefix(_MARK))] if marks else title
        message = error.message.removeprefix("PDF/A-2u error: ")
        near = f": {above[-1].strip()[:120]}" if above else ""
        raise ValueError(f"{where}: this cannot be set: {message}{near}") from error
