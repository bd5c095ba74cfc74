"""Text from outside that is full of markup, on its way to the page: the same characters must arrive, and nothing else.

Every text goes through pandoc, through nbconvert's reader of Markdown, through a table's HTML and onto a figure; one of
ten is set as PDF. Shown whole it is RIGHT, escaped or shortened FLAGGED; anything else is SILENT.
"""

import base64
import io
import json
import re
import unicodedata
from xml.etree import ElementTree

import matplotlib.pyplot as plt
from astropy.table import QTable
from bs4 import BeautifulSoup
from nbconvert.filters import markdown2html
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pdfs import text_of

from fuzzing.harness import Outcome
from lab2._text import visible
from lab2.plots.style import literal
from lab2.report import escaped, typeset
from lab2.report.html import html_table
from lab2.report.typst import PDFExporter

PIECES = (
    *"\\`*_{}[]()<>#+-.!|$~^'\"&/=@;:,%? \n\tabXY09é√",
    *(
        "`{=typst}",
        "`#panic()`{=typst}",
        "``",
        "```\n",
        "~~~",
        "---",
        "***",
        "===",
        "# ",
        "1. ",
        "- ",
        "* ",
        "> ",
        "    ",
    ),
    *("$x$", "$$", r"\(", r"\)", r"\[x\]", r"\begin{align}", r"\end{align}", r"\textbf{b}", r"\input{/etc/passwd}"),
    *("<b>", "</b>", "<br/>", "<!--", "-->", "<script>alert(1)</script>", "&lt;", "&#36;", "&amp", "<http://a.b>"),
    *("https://a.b/c?d=e#f", "www.a.b", "a@b.cd", "[a](b)", "![a](b.png)", "[^1]", "[^1]: ", "^[note]", "[a]: b"),
    *("| a | b |", "|--|--|", ":::", "{.a #b}", "@cite", ":: ", "\n\n", "...", "--", "#panic()", "#let x = 1"),
    *(
        '#image("/x")',
        "//",
        "/*",
        "*/",
        "<label>",
        "@label",
        "~",
        "\\u{41}",
        "//a.b",
        "= ",
        "+ ",
        "/ a: b",
        "minus.circle",
        "planck.reduce",
    ),
    *(
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\u00ad",
        "\u0301",
        "漢",
        "ש",
        "😀",
        "\ud800",
    ),
    *("\u2028", "\r\n", "x" * 70, "a/" * 40, "2M03533659+2512012", "synspec_rev1", "T_eff", "Å", "NGC 6791", "it's"),
)
# What the Markdown below consists of, in pandoc's tree and in HTML.
NODES = {"Para", "Plain", "BulletList", "BlockQuote", "Header", "Strong", "Emph", "Str", "Space", "SoftBreak", "Code"}
TAGS = {"h1", "p", "strong", "em", "ul", "li", "blockquote", "code"}
CELLS = {"table", "thead", "tbody", "tr", "th", "td", "span"}


def spaceless(text):
    """Text without blanks, and without the hyphens that may be a line's."""
    return re.sub(r"[\s\ufffe\x02‐-]", "", text)


def nodes(tree):
    """Every node of pandoc's tree."""
    if isinstance(tree, list):
        for part in tree:
            yield from nodes(part)
    elif isinstance(tree, dict):
        if "t" in tree:
            yield tree
        for part in tree.values():
            yield from nodes(part)


def through_pandoc(markdown):
    """Text of Markdown as the report reads it, and the kinds of its nodes."""
    found = list(nodes(json.loads(typeset._pandoc(markdown, "-f", typeset._READER, "-t", "json")[0])["blocks"]))
    words = (node["c"] if node["t"] == "Str" else node["c"][1] for node in found if node["t"] in ("Str", "Code"))
    return "".join(words), {node["t"] for node in found}


def in_the_browser(html):
    """Text of HTML, its elements, and the text in which a browser would look for formulas, one piece an element."""
    soup = BeautifulSoup(html, "html.parser")
    for anchor in soup.find_all("a", class_="anchor-link"):  # nbconvert's own, at a heading
        anchor.decompose()
    pieces = [text for text in soup.strings if text.parent.name != "code"]
    return soup.get_text(), {tag.name for tag in soup.find_all()}, pieces


def drawn(text):
    """The text of a figure with such a title."""
    figure, axes = plt.subplots()
    axes.set_title(literal(text))
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    plt.close(figure)
    return "".join(ElementTree.fromstring(buffer.getvalue()).itertext())


def printed(text, shown):
    """The text of a PDF in which such a text is prose, a caption, a cell, an output, and a note under the title."""
    about = {"lab2": {"title": "Title", "notes": [text]}}
    caption = new_output("display_data", {"text/markdown": f"{shown} END"}, metadata={"lab2": {"role": "caption"}})
    picture = {"image/png": base64.b64encode(PNG).decode()}
    table = {"text/html": html_table(QTable({"a": [text, "b"]}))}
    outputs = [new_output("display_data", picture), caption, new_output("display_data", table), caption]
    outputs += [
        new_output("stream", text=visible(text)),
        new_output("display_data", {"text/markdown": f"**{shown}**, ({shown})"}),
    ]
    cells = [new_markdown_cell(f"MARK {shown}"), new_code_cell("x", outputs=outputs)]
    pdf, _ = PDFExporter(exclude_input=True).from_notebook_node(new_notebook(cells=cells, metadata=about))
    return " ".join(text_of(pdf))


def _png():
    buffer = io.BytesIO()
    figure = plt.figure(figsize=(0.5, 0.5))
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


PNG = _png()


class Door:
    """A text of markup."""

    def prepare(self, folder):
        """Nothing is needed."""

    def attempt(self, rng, folder):
        text = "".join(rng.choice(PIECES, rng.integers(0, 12)))
        seen, shown = visible(text), escaped(text)
        if fault := self.fault(text, seen, shown, pdf=rng.random() < 0.1):
            return Outcome.SILENT, f"{text!r}: {fault}"
        whole = " ".join(unicodedata.normalize("NFC", text).split())
        return (Outcome.RIGHT if seen == whole else Outcome.FLAGGED), repr(text)

    def fault(self, text, seen, shown, pdf):
        """What is wrong, or None."""
        if not seen.isprintable() or re.search("[\u0590-\u08ff\u200b-\u200f\u202a-\u202e\u2066-\u2069]", seen):
            return "characters that no page shows"
        if len(seen) > 301 or max(map(len, re.split("[ /]", seen))) > 61:
            return "too long for a page"
        markdown = f"# {shown}\n\n{shown}\n\n**{shown}**, *{shown}* and ({shown}).\n\n- {shown}\n\n> {shown}"
        whole = spaceless(f"{seen}{seen}{seen},{seen}and({seen}).{seen}{seen}")
        words, kinds = through_pandoc(markdown)
        if spaceless(words) != whole or kinds - NODES:
            return f"pandoc reads {words!r}, {kinds - NODES}"
        words, kinds, pieces = in_the_browser(markdown2html(markdown))
        if spaceless(words) != whole or kinds - TAGS:
            return f"nbconvert reads {words!r}, {kinds}"
        if any("$" in piece or "\\" in piece for piece in pieces):
            return "a formula for the browser"
        words, kinds, pieces = in_the_browser(html_table(QTable({seen: [text]})))
        if spaceless(words) != spaceless(seen + (seen if text else "")) or kinds - CELLS:
            return f"a table reads {words!r}, {kinds}"
        if any(len(piece) > 1 and ("$" in piece or "\\" in piece) for piece in pieces):
            return "a formula in a table"
        return self.on_paper(text, seen, shown) if pdf else None

    def on_paper(self, text, seen, shown):
        """What is wrong on a figure or in a PDF, or None."""
        if spaceless(seen) not in spaceless(drawn(text)):
            return f"a figure reads {drawn(text)}"
        page, words = spaceless(printed(text, shown)), spaceless(seen)
        for there in (f"MARK{words}", f"1.{words}END", f"Title{words}", f"{words},({words})"):
            if there not in page:
                return f"the PDF lacks {there!r}: {page!r}"
        if page.count(words) < 7:
            return f"the PDF has {words!r} {page.count(words)} times: {page!r}"
        return None
