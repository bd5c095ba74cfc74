import base64
import hashlib
import io

import matplotlib.pyplot as plt
import nbconvert
import numpy as np
import pypdfium2
import pytest
from astropy.table import QTable
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pdfs import text_of

from lab2.report.html import html_table
from lab2.report.typst import PDFExporter


def convert(*cells, exclude_input=False, **about):
    notebook = new_notebook(cells=list(cells), metadata={"lab2": about})
    return PDFExporter(exclude_input=exclude_input).from_notebook_node(notebook)[0]


def shown(*outputs, source="show()"):
    return new_code_cell(source, outputs=list(outputs))


def output(**data):
    return new_output("display_data", data={name.replace("_", "/"): value for name, value in data.items()})


def caption(text):
    return new_output(
        "display_data",
        data={"text/markdown": text, "text/plain": "x"},
        metadata={"lab2": {"role": "caption"}},
    )


@pytest.fixture(scope="module")
def figure():
    """A figure as a notebook shows it; its PDF and its PNG say different things."""
    forms = {"text/plain": "figure"}
    for kind, mime in {"pdf": "application/pdf", "png": "image/png"}.items():
        drawn, axes = plt.subplots(figsize=(4, 3))
        axes.set_xlabel(f"drawn as {kind}")
        buffer = io.BytesIO()
        drawn.savefig(buffer, format=kind)
        plt.close(drawn)
        forms[mime] = base64.b64encode(buffer.getvalue()).decode()
    return new_output("display_data", data=forms)


def test_the_exporter_is_registered():
    assert nbconvert.get_exporter("lab2_pdf") is PDFExporter


def test_every_character_that_the_lab_needs_is_on_the_page():
    needed = "αβγδλμσχθ ΔΣ − ~ ☉ ≲ ≳ ≤ ≥ ≈ Å ± × → ∞ ° é “x” – —"
    (page,) = text_of(convert(new_markdown_cell(f"# Signs\n\n{needed}\n\n`{needed}`")))
    assert all(page.count(sign) >= 2 for sign in needed.replace(" ", ""))


def test_formulas_are_set():
    tex = r"$T_{\rm eff}$, $M_\odot$, $\lesssim$, $\AA$, $A \cap B$, $\hbar$, $\mathrm{[Fe/H]}$, $\bar{x}$"
    display = "$$\n\\chi^2 = \\sum_\\lambda \\frac{(f_\\lambda - \\theta\\cdot\\ell)^2}{s_\\lambda^2}\n$$"
    bare = "\\begin{align}\nu &= v \\\\\nw &= z\n\\end{align}"
    (page,) = text_of(convert(new_markdown_cell(f"# F\n{tex}\n\n{display}\n\n{bare}\n\nand $$y^2 $$")))
    for sign in ["𝑇eff", "𝑀⊙", "≲", "Å", "𝐴 ∩ 𝐵", "ℏ", "[Fe/H]", "∑", "𝜆", "ℓ", "𝑢 = 𝑣", "𝑤 = 𝑧"]:
        assert sign in page
    assert "\\" not in page
    assert "$" not in page


def test_markdown_is_read_as_jupyterlab_reads_it():
    line = "[Fe/H] = 1, (a) 10 % @x #1, ~5 to ~6, a_b_c"
    source = f"# T\nstars:\n- one\n- two\n## Next\n{line}\n\n| a | b |\n|--|--|\n| 1 | 2 |"
    (page,) = text_of(convert(new_markdown_cell(source)))
    assert f"• one\n• two\nNext\n{line}\na b\n1 2" in page


def test_captions_belong_to_the_figure_or_table_before_them(figure):
    table = output(text_html=html_table(QTable({"name [Fe/H]": ["a_b", "$T_e$", "- c"], "bias": [1.0, -2.5, np.nan]})))
    pages = text_of(
        convert(
            new_markdown_cell("# T\n\n| a |\n|--|\n| 1 |"),  # has no caption, and no number
            shown(
                figure,
                caption("Flux of *stars* with $M < 1$ [K], 100 %.\n\nMore."),
                table,
                caption("The #1 bias."),
            ),
            shown(figure, caption("Another.")),
            exclude_input=True,
        )
    )
    page = "\n".join(pages)
    assert "drawn as pdf" in page  # the vector form, not the PNG
    assert "Figure 1. Flux of stars with 𝑀 < 1 [K], 100 %. More." in page
    assert "Table 1. The #1 bias.\nname [Fe/H] bias\na_b 1\n$T_e$ −2.5\n- c –" in page
    assert "Figure 2. Another." in page
    assert "show()" not in page


def test_code_and_outputs():
    noise = new_output("stream", name="stderr", text=" 10%|#   | 1/10\n")
    bar = output(**{"application_vnd.jupyter.widget-view+json": {}, "text_plain": "  0%|   | 0/10 [00:00<?, ?it/s]"})
    failed = new_output("error", ename="E", evalue="bad", traceback=["\x1b[31mE: bad\x1b[0m"])
    printed = new_output("stream", name="stdout", text="10%\r100% done `x`\n")
    said = output(text_markdown="We find **12** K.", text_plain="<Markdown>")
    cell = shown(noise, bar, printed, said, failed, output(text_plain="array([1])"), source='x = "a`b\\n"  # $y$')
    (page,) = text_of(convert(new_markdown_cell("# T"), cell))
    assert 'x = "a`b\\n" # $y$' in page
    for there in ["\n100% done `x`", "We find 12 K.", "E: bad", "array([1])"]:
        assert there in page
    assert "10%|" not in page
    assert "it/s" not in page


def test_the_heads_of_the_pages():
    cells = [new_markdown_cell("# The *title*\n\none"), new_markdown_cell("word " * 3000)]
    pages = text_of(convert(*cells, simulated=True, notes=["Jane Doe"]))
    assert len(pages) > 2
    assert pages[0].count("The title") == 1
    assert "Jane Doe" in pages[0]
    assert all("Simulated survey" in page for page in pages)
    assert all("The title" in page for page in pages)
    assert f"2 / {len(pages)}" in pages[1]
    assert "Simulated" not in "".join(text_of(convert(*cells, simulated=False)))


def test_a_document_has_contents_an_appendix_and_an_author():
    """Parts of a report: the contents list numbered sections, and an appendix is lettered."""
    parts = [new_markdown_cell("", metadata={"lab2": {"part": part}}) for part in ("contents", "appendix")]
    sections = [new_markdown_cell(f"# Section {i}\n\ntext {i}") for i in (1, 2)]
    abstract = new_markdown_cell("We show.", metadata={"lab2": {"part": "abstract"}})
    deeper = new_markdown_cell("# Deeper", metadata={"lab2": {"depth": 1}})
    cells = [abstract, parts[0], *sections, deeper, parts[1], new_markdown_cell("# More")]
    pdf = convert(*cells, title="The lab", author="Ada L", date=[2025, 11, 9], foot="survey x", numbered=True)
    pages = text_of(pdf)
    assert len(pages) == 3
    for text in ("The lab", "Ada L", "9 November 2025", "Abstract", "We show.", "2.1 Deeper", "A More"):
        assert text in pages[0]
    assert "1 Section 1\ntext 1\n2 Section 2\ntext 2\n2.1 Deeper" in pages[1]
    assert "A More" in pages[2]
    assert all("survey x" in page for page in pages)
    about = pypdfium2.PdfDocument(pdf).get_metadata_dict()
    assert (about["Title"], about["Author"]) == ("The lab", "Ada L")
    assert about["CreationDate"].startswith("D:20251109")


def test_items_stand_on_one_page_with_smaller_pictures_or_on_a_page_each(figure):
    """Two pictures of 4 x 3 inches leave room for a few paragraphs on a page, smaller ones for some more."""

    def pages(n_lines):
        text = "\n\n".join(["line"] * n_lines)
        items = [new_markdown_cell("# T\n\n## (a) One"), shown(figure), new_markdown_cell(f"## (b) Two\n\n{text}")]
        items[2].metadata["lab2"] = {"part": "next item"}
        return text_of(convert(*items, shown(figure), exclude_input=True, one_page=True))

    assert [len(pages(n)) for n in (1, 10, 20)] == [1, 1, 2]
    first, second = pages(20)
    assert "(b) Two" not in first
    assert second.count("line") == 20


def test_equal_bytes_and_no_program_of_the_system(figure, monkeypatch):
    cells = [new_markdown_cell("# T\n\n$x$"), shown(figure, caption("C."))]
    first = convert(*cells)
    monkeypatch.setenv("PATH", "")
    assert hashlib.sha256(convert(*cells)).hexdigest() == hashlib.sha256(first).hexdigest()


def test_pictures_beside_the_notebook_and_attached(tmp_path, figure):
    png = base64.b64decode(figure.data["image/png"])
    (tmp_path / "a.png").write_bytes(png)
    attached = new_markdown_cell("![second](attachment:b.png)")
    attached["attachments"] = {"b.png": {"image/png": figure.data["image/png"]}}
    notebook = new_notebook(cells=[new_markdown_cell("# T\n\n![first](a.png)"), attached])
    pdf, _ = PDFExporter().from_notebook_node(notebook, {"metadata": {"path": str(tmp_path), "name": "n"}})
    (page,) = text_of(pdf)
    assert "Figure 1. first" in page
    assert "Figure 2. second" in page


REFUSED = {
    "formula": (
        new_markdown_cell(r"so $a + \frobnicate{b}$ is"),
        r"formula cannot be set: a \+ \\frobnicate\{b\}",
    ),
    "html": (new_markdown_cell("a<br>b"), "HTML cannot be set.*<br>"),
    "latex": (new_markdown_cell(r"a \section{b}"), r"LaTeX outside a formula.*\\section\{b\}"),
    "missing picture": (new_markdown_cell("![a](no.png)"), "no picture no.png"),
    "remote picture": (new_markdown_cell("![a](https://example.org/a.png)"), "not a file here"),
    "character": (new_markdown_cell("a 漢 b"), "漢"),
    "character in a table": (shown(output(text_html="<table><tr><td>漢</td></tr></table>")), "漢"),
    "spaced formula": (new_markdown_cell("so $ x $ is"), r"lone \$"),
    "fence": (new_markdown_cell("```\nnever closed"), "never closed"),
    "link": (new_markdown_cell("[a](#nowhere)"), "cannot be set"),
    "mime": (shown(output(application_javascript="1")), "application/javascript"),
    "widget": (
        shown(output(**{"application_vnd.jupyter.widget-view+json": {}, "text_plain": "Box()"})),
        "widget",
    ),
    "caption": (shown(caption("Alone.")), "caption stands after no figure"),
    "caption of text": (shown(output(text_plain="1"), caption("Of text.")), "caption stands after no figure"),
    "broken picture": (shown(output(image_png="AAAA")), "cannot be set"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_set_is_an_error_that_names_the_cell(what):
    cell, message = REFUSED[what]
    with pytest.raises(ValueError, match=rf"(?s)Notebook, cell 2: .*{message}"):
        convert(new_markdown_cell("# T\n\nfine"), cell, new_markdown_cell("fine too"))


def test_the_view_to_zoom_into_is_left_out(figure):
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Accordion()"}
    view = new_output("display_data", data=data, metadata={"lab2": {"role": "zoom"}})
    (page,) = text_of(convert(shown(figure, caption("A spectrum."), view)))
    assert page.count("drawn as") == 1
    assert "Accordion" not in page
