"""Links in the tree that pandoc reads, as references: to figures, tables, equations, headings and papers.

Links on the screen become numbers on paper:

====================================  ==========================================================
link to                               in the PDF
====================================  ==========================================================
``#fig-05_comparison``                Figure 7; ``#tab-...`` and ``#eq-...`` likewise
``05_cross_validation.ipynb``         Section 4, where the notebook is in the document
``05_cross_validation.ipynb#Errors``  the section with this heading; with the text "page", its page
``https://doi.org/...``               its entry in the list, if the paper is in references.bib
====================================  ==========================================================

A link to a figure, a table or a notebook that is not in the document keeps its text.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

__all__ = ["BIBLIOGRAPHY", "anchor", "formulas", "listed", "papers", "resolve", "rewritten"]

BIBLIOGRAPHY = Path(__file__).with_name("references.bib")

_ENTRY = re.compile(r"@\w+\{(\w+),(.*?)\n\}", re.S)
_DOI = re.compile(r"^\s*doi\s*=\s*\{(.+?)\}", re.M)
_LABEL = re.compile(r"\s*\\label\{(eq-[\w-]+)\}")
_NUMBERED = re.compile(r"#(?:fig|tab|eq)-.+")
_NOTEBOOK = re.compile(r"((\d\d)_\w+)\.ipynb(?:#(.+))?")


def papers() -> dict[str, str]:
    """Key of each paper in references.bib, by its DOI in lower case."""
    entries = _ENTRY.findall(BIBLIOGRAPHY.read_text(encoding="utf-8"))
    return {doi[1].lower(): key for key, fields in entries if (doi := _DOI.search(fields))}


def anchor(heading: str) -> str:
    """The fragment by which JupyterLab links to a heading."""
    return heading.strip().replace(" ", "-")


def rewritten(node: object, change: Callable[[dict], list]) -> object:
    """A tree of pandoc in which each element is replaced by those that `change` returns for it, inner ones first."""
    if isinstance(node, dict):
        return {key: rewritten(value, change) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    parts = []
    for part in node:
        new = rewritten(part, change)
        parts += change(new) if isinstance(new, dict) and "t" in new else [new]
    return parts


def resolve(blocks: list, where: list[str], labels: set[str], raw: Callable[[str], dict]) -> list:
    """The blocks with references instead of links, and labels at their targets.

    Parameters
    ----------
    blocks : list
        Of pandoc's tree.
    where : list of str
        For each block the name of its notebook, such as "05_cross_validation"; "" for others.
    labels : set of str
        Of the figures and tables in the document.
    raw : callable
        Makes an inline element of Typst code.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        If a link leads to a heading that its notebook lacks.
    """
    headings = _headings(blocks, where)
    labels = labels | {name for math in formulas(blocks) for name in _LABEL.findall(math)}
    known = papers()

    def change(node):
        if node["t"] == "Math" and (label := _LABEL.search(node["c"][1])):
            math = node | {"c": [node["c"][0], _LABEL.sub("", node["c"][1])]}
            return [raw('#[#set math.equation(numbering: "(1)");'), math, raw(f" <{label[1]}>]")]
        if node["t"] != "Link":
            return [node]
        attributes, inlines, (target, _) = node["c"]
        if target.startswith("https://doi.org/"):
            key = known.get(unquote(target.removeprefix("https://doi.org/")).lower())
            return [node | {"c": [attributes, inlines, [f"#ref-{key}", ""]]}] if key else [node]
        if _NUMBERED.fullmatch(target):
            name = unquote(target[1:])
            return [raw(f'#ref(label("{name}"))')] if name in labels else inlines
        if found := _NOTEBOOK.fullmatch(target):
            heading = unquote(found[3] or "")
            label = headings.get((found[1], heading))
            if label is None and (found[1], "") in headings:
                raise ValueError(f"the notebook {found[1]} has no heading {heading!r}, to which a link leads")
            on_page = _text(inlines) == "page"
            return [raw(f'#{"page-of" if on_page else "ref"}(label("{label}"))')] if label else inlines
        return [node]

    return rewritten(blocks, change)


def _headings(blocks, where):
    """The label of each heading, by notebook and anchor; that of a notebook's first one also by the notebook alone."""
    found = {}
    for block, stem in zip(blocks, where, strict=True):
        if block["t"] == "Header" and stem:
            label = block["c"][1][0] = f"{stem[:2]}-{len(found)}"
            found.setdefault((stem, ""), label)
            found.setdefault((stem, anchor(_text(block["c"][2]))), label)
    return found


def formulas(node: object) -> Iterator[str]:
    """The TeX of all formulas."""
    if isinstance(node, dict):
        if node.get("t") == "Math":
            yield node["c"][1]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from formulas(part)


def _text(inlines):
    """Inline elements as plain text."""
    texts = []
    for one in inlines:
        content = one.get("c", " ")
        if isinstance(content, str):
            texts.append(content)
        else:  # code and formulas have their text last; emphasis and the like more elements
            texts.append(content[-1] if isinstance(content[-1], str) else _text(content))
    return "".join(texts)


def listed(node: object) -> dict:
    """Metadata for pandoc, which makes it list the papers that `resolve` found linked."""
    keys = dict.fromkeys(key for target in _targets(node) for key in re.findall(r"^#ref-(\w+)$", target))
    about = {"citationMode": {"t": "NormalCitation"}, "citationNoteNum": 0, "citationHash": 0}
    about |= {"citationPrefix": [], "citationSuffix": []}
    cites = [{"t": "Cite", "c": [[about | {"citationId": key}], []]} for key in keys]
    return {"nocite": {"t": "MetaInlines", "c": cites}}


def _targets(node):
    """The targets of all links."""
    if isinstance(node, dict):
        if node.get("t") == "Link":
            yield node["c"][2][0]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _targets(part)
