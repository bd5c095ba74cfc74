"""Text from outside is shown, never obeyed: in Markdown, tables, figures, PDF and on the title page."""

import nbformat
import pytest
import xarray as xr
from astropy.table import QTable
from matplotlib import pyplot as plt
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pdfs import text_of

from lab2 import plots
from lab2._text import _OTHERS, printable, visible
from lab2.plots.style import axis_text, literal
from lab2.report import Page, escaped
from lab2.report.checkpoints import checkpoint
from lab2.report.credits import credits_for
from lab2.report.document import report
from lab2.report.html import html_table
from lab2.report.typst import PDFExporter
from lab2.survey import write_manifest

NASTY = [
    "404 <b>gone</b>",
    "5 $ a file",
    "$x$ and $$y$$",
    "`#panic()`{=typst}",
    r"\textbf{b} \(x\) \[y\] \begin{align}",
    "*a* _b_ ~c~ ^d^ [e](f) ![g](h) # i | j",
    'it\'s --- "so"... & &lt; &#36; <http://a.b> a@b.cd @c',
    "#let x = 1 // c /* d */ <label> = e",
]


def converted(*cells, **about):
    notebook = new_notebook(cells=list(cells), metadata={"lab2": about})
    return " ".join(" ".join(text_of(PDFExporter().from_notebook_node(notebook)[0])).split())


def test_a_page_shows_the_characters_that_came():
    table = new_output("display_data", {"text/html": html_table(QTable({"a": NASTY}))})
    prose = [new_markdown_cell(f"A {escaped(text)} Z") for text in NASTY]
    shown = converted(*prose, new_code_cell("", outputs=[table]), notes=NASTY)
    for text in NASTY:
        assert f"A {text} Z" in shown
        assert shown.count(text) == 3


ODD = [
    ("a\x00b\x1b[31m", r"a\x00b\x1b[31m"),
    ("\u202egpj.exe", r"\u202egpj.exe"),
    ("two\r\nlines\tand  blanks ", "two lines and blanks"),
    ("", "–"),
    (" \n", "–"),
    ("漢 \ud800", r"\u6f22 \ud800"),
    ("e\u0301", "é"),
    ("x" * 10_000, "x" * 60 + "…"),
    ("xy " * 4_000, ("xy " * 100) + "…"),
    ("/".join(["folder"] * 5), "/".join(["folder"] * 5)),
    (12, "12"),
]


@pytest.mark.parametrize(("text", "shown"), ODD)
def test_what_no_page_can_show_is_escaped_or_shortened(text, shown):
    assert visible(text) == shown


def test_what_was_escaped_can_be_set():
    page = converted(*(new_markdown_cell(f"A {escaped(text)} Z") for text, _ in ODD))
    assert [shown for _, shown in ODD if f"A {shown} Z" not in page] == []


def test_every_printable_character_is_in_the_fonts():
    every = [chr(code) for code in range(0x10000) if not _OTHERS.match(chr(code)) and chr(code).isprintable()]
    assert len(every) > 1500
    printed = new_code_cell("", outputs=[new_output("stream", text=" ".join(every))])
    prose = new_markdown_cell("\n\n".join(escaped("".join(every[i : i + 50])) for i in range(0, len(every), 50)))
    assert converted(printed, prose).count("ω") == 2  # it was set, so that no font lacks one
    figure, axes = plt.subplots()
    axes.set_title("".join(every).replace("$", r"\$"))
    figure.canvas.draw()  # a warning of a missing glyph would be an error
    plt.close(figure)


def test_printable_text_keeps_its_lines():
    assert printable("a\n\x07 b") == "a\n\\x07 b"


def test_a_formula_in_a_table_lies_in_one_element():
    def cell(html):
        return new_code_cell("", outputs=[new_output("display_data", {"text/html": html})])

    assert "𝑇𝑒 _a_" in converted(cell("<table><tr><td>$T_e$ _a_</td></tr></table>"))
    assert "$T_e$" in converted(cell(html_table(QTable({"a": ["$T_e$"]}))))


@pytest.mark.parametrize("raw", ["`#panic()`{=typst}", "```{=typst}\n#panic()\n```", "`<b>`{=html}", "`x`{=own-0}"])
def test_raw_passages_of_a_text_are_refused_with_the_cell_named(raw):
    with pytest.raises(ValueError, match=r"Notebook, cell 2: .* cannot be set"):
        converted(new_markdown_cell("# T"), new_markdown_cell(f"a {raw}" if raw[:3] != "```" else raw))


def test_a_figure_draws_names_as_they_are():
    for name in ["a$b$", r"\$x_1^2", "$", "N_1 $\\alpha"]:
        figure, axes = plt.subplots()
        title = axes.set_title(literal(name))
        parsed, is_formula = title._preprocess_math(title.get_text())
        assert (parsed, is_formula) == (name, False)
        plt.close(figure)
    assert literal("word " * 40).count("\n") == 2  # lines that fit the figure
    assert axis_text("$x$") == r"\$x\$"
    assert "$" in axis_text("teff").replace(r"\$", "")


def test_titles_that_are_names_go_through():
    pixels = {"wavelength": [1.0, 2.0, 3.0], "chip": ("wavelength", ["blue"] * 3)}
    values = (("star", "wavelength"), [[1.0, 2.0, 1.5]])
    star = xr.Dataset({"flux": values, "error": values}, pixels)
    figure = plots.raw_spectra({"a$b$ \x00": star})
    assert figure.axes[0].get_title(loc="left") == r"a\$b\$ \x00"
    plt.close(figure)


def test_the_statement_and_the_credits_escape_what_the_manifest_says(home, make_survey):
    folder = make_survey("_my_", simulated=False)
    catalogue = {"rows": "<i>", "fields": ["*M15*"], "label_tree": "$x$", "source": "`a`{=typst}", "date": "<b>"}
    about = write_manifest(folder, simulated=False, label_tree="*tree*", catalogue=catalogue)
    cells = [new_markdown_cell(text) for text in (Page("01_training_set", "_my_", 1).statement, credits_for(about))]
    text = converted(*cells).replace("’", "'")
    assert "the survey _my_: observed spectra, and labels of the pipeline's run *tree*. Seed 1." in text
    assert "<i> rows in the fields *M15*, with the labels of the pipeline's run $x$; from `a`{=typst}, <b>." in text


def test_checkpoint_and_report_of_a_survey_with_a_nasty_manifest(home, make_survey, monkeypatch):
    folder = make_survey("mine", simulated=False)
    catalogue = {"rows": 1, "fields": ["M15"], "label_tree": "x", "source": "5 $ <b>"}
    write_manifest(folder, simulated=False, label_tree='"]#panic()`x`{=typst}', catalogue=catalogue)
    monkeypatch.setattr("lab2.report.run.notebook_folder", lambda: home / "notebooks")
    (home / "notebooks").mkdir()
    cells = [new_markdown_cell("# One\n\nText.", metadata={"tags": ["checkpoint-1"]})]
    notebook = new_notebook(cells=cells, metadata={"lab2": {"commit": "*`$abc", "dirty": False}})
    for place in (home / "notebooks", home / "build" / "mine"):
        place.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, place / "01_one.ipynb")
    text = " ".join(text_of(checkpoint(1, "mine", "李_明").read_bytes()))
    assert r"\u674e \u660e" in text
    assert 'run "]#panic()`x`{=typst}' in text
    text = " ".join(text_of(report("mine").read_bytes()))
    assert "lab2 commit *`$abc · " in text
    assert "from 5 $ <b>, undated" in " ".join(text.split())


def test_pictures_whose_names_have_spaces(tmp_path):
    figure = plt.figure(figsize=(1, 1))
    for folder in ("one two", "three"):
        (tmp_path / folder).mkdir()
        figure.savefig(tmp_path / folder / "my it's é.png")
    plt.close(figure)
    text = "![first](<one two/my it's é.png>)\n\n![second](three/my%20it's%20%C3%A9.png)"
    notebook = new_notebook(cells=[new_markdown_cell(text)])
    pdf, _ = PDFExporter().from_notebook_node(notebook, {"metadata": {"path": str(tmp_path), "name": "n"}})
    assert "Figure 1. first" in text_of(pdf)[0]
    assert "Figure 2. second" in text_of(pdf)[0]
