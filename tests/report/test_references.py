"""Links become numbers: of figures, tables, equations, sections and pages, and citations."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pdfs import text_of

from lab2.report import references
from lab2.report.handout import QUESTIONS
from lab2.report.run import find
from lab2.report.typst import PDFExporter

_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def cell(text, origin="04_spectral_model, cell 1", **about):
    return new_markdown_cell(text, metadata={"lab2": {"origin": origin} | about})


def table(name, text="A *caption*."):
    outputs = [
        new_output("display_data", data={"text/html": "<table><tr><th>a</th></tr><tr><td>1</td></tr></table>"}),
        new_output(
            "display_data",
            data={"text/markdown": f"**Table {name}.** {text}"},
            metadata={"lab2": {"role": "caption", "text": text, "label": f"tab-{name}"}},
        ),
    ]
    return new_code_cell("", execution_count=7, outputs=outputs, metadata={"lab2": {"origin": "05_x, cell 9"}})


def pages(*cells, **about):
    notebook = new_notebook(cells=list(cells), metadata={"lab2": {"title": "T"} | about})
    return text_of(PDFExporter(exclude_input=True).from_notebook_node(notebook)[0])


def test_tables_and_equations_are_referred_to_by_number():
    text = "See [Table 05_two](#tab-05_two) and [Equation square](#eq-square), not [Figure 09_a](#fig-09_a).\n\n"
    (page,) = pages(cell(text), cell(r"$$ y = x^2 \label{eq-square} $$"), table("05_one"), table("05_two"))
    assert "See Table 2 and Equation 1, not Figure 09_a." in " ".join(page.split())
    assert "(1)" in page
    assert "Table 1. A caption. (Notebook 05, [7])" in page
    assert "label" not in page


def test_notebooks_and_headings_are_sections_and_pages():
    link = "04_spectral_model.ipynb#Problem-6-(a):-what-is-X?"
    text = f"# One\n\n[here](04_spectral_model.ipynb), [there]({link}), p. [page]({link}), [no](08_gone.ipynb)"
    first = cell(text, origin="04_spectral_model, cell 1")
    second = cell("## Problem 6 (a): what is X?", origin="04_spectral_model, cell 2")
    found = pages(first, cell("word " * 1500, origin="x"), second, numbered=True)
    assert "Section 1, Section 1.1, p. 2, no" in " ".join(found[0].split())
    with pytest.raises(ValueError, match="04_spectral_model has no heading 'Problem-6-"):
        pages(first, numbered=True)


def test_papers_are_cited_and_listed():
    ness, casey = "https://doi.org/10.1088/0004-637X/808/1/16", "https://doi.org/10.48550/arXiv.1603.03040"
    text = f"[Ness et al. (2015)]({ness}) and others [(Casey et al. 2016)]({casey}); [other](https://doi.org/10.1/x)."
    text += " Two [(Choi et al. 2016](https://doi.org/10.3847/0004-637X/823/2/102), [here](https://doi.org/10.1086/500975))."
    (page,) = pages(cell(text), cell("# References", part="references"))
    page = " ".join(page.split())
    assert "Ness et al. (2015) and others (Casey et al. 2016); other. Two (Choi et al. 2016, here)." in page
    listed = page.split("References")[1]
    assert "The Cannon: A Data-Driven Approach" in listed
    assert "https://doi.org/10.48550/arXiv.1603.03040" in listed.replace(" ", "")  # a line may end inside
    assert "Choi, Jieun" in listed
    assert "Gunn, James" in listed
    assert "Leung" not in listed


def test_numbers_have_a_true_minus_sign_but_names_and_dates_keep_their_hyphens():
    (page,) = pages(cell("From -0.5 to (-1), 2M21-12, 2014-01-01, K2_C4_168-21, a-2, `-3` and ±-4."))
    assert "From −0.5 to (−1), 2M21-12, 2014-01-01, K2_C4_168-21, a-2, -3 and ±−4." in " ".join(page.split())


def test_every_paper_of_the_bibliography_has_a_doi():
    entries = references.BIBLIOGRAPHY.read_text().count("@")
    assert len(references.papers()) == entries > 20


def headings(path):
    cells = nbformat.read(path, as_version=4).cells
    rows = [row for one in cells if one.cell_type == "markdown" for row in one.source.splitlines()]
    return {row.lstrip("#").strip() for row in rows if row.startswith("#")}


def test_every_question_of_the_handout_has_its_heading():
    of_notebook = {path.name[:2]: headings(path) for path in find()}
    missing = [(number, heading) for _, _, number, heading in QUESTIONS if heading not in of_notebook[number]]
    assert not missing
    assert {problem.split()[0] for problem, *_ in QUESTIONS} == {str(n) for n in range(1, 16)}
    assert {problem for problem, *_ in QUESTIONS} >= {f"6 ({letter})" for letter in "abcd"}


@pytest.mark.parametrize("source", find(), ids=lambda source: source.stem)
def test_what_the_notebooks_link_to_is_there(source):
    known, notebooks = references.papers(), {path.name: path for path in find()}
    for text in (cell.source for cell in nbformat.read(source, as_version=4).cells):
        for found in _LINK.finditer(text):
            target = found["target"]
            if target.startswith("https://doi.org/"):
                assert target.removeprefix("https://doi.org/").lower() in known
            name, _, fragment = target.partition("#")
            if name.endswith(".ipynb"):
                there = {references.anchor(heading) for heading in headings(notebooks[name])}
                assert fragment in there | {""}, f"{target} is no heading of {name}"
