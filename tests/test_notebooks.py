"""The lab itself: every notebook on a small survey, then the checkpoints and the report."""

import re

import nbformat
import pypdfium2
import pytest
from pdfs import text_of

from lab2.report.checkpoints import CHECKPOINTS, checkpoint
from lab2.report.document import TITLE, report
from lab2.report.run import NotebookError, find, run
from lab2.survey import build_folder

SOURCES = find()


@pytest.fixture(scope="module")
def outcomes(tiny_survey):
    """What became of each notebook: None, or the error."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
        for source in SOURCES:
            try:
                run([source.stem], progress=False)
                found[source.stem] = None
            except NotebookError as error:
                found[source.stem] = str(error)
        yield found


def captions(source):
    """The captions on an executed notebook."""
    outputs = [o for cell in source.cells for o in cell.get("outputs", ())]
    return [o.data["text/markdown"] for o in outputs if o.get("metadata", {}).get("lab2", {}).get("role") == "caption"]


@pytest.mark.parametrize("stem", [source.stem for source in SOURCES])
def test_a_notebook_runs_from_top_to_bottom(outcomes, stem):
    assert outcomes[stem] is None


@pytest.mark.parametrize("stem", [source.stem for source in SOURCES])
def test_a_notebook_shows_no_bare_values(outcomes, stem):
    executed = nbformat.read(build_folder("simulated") / f"{stem}.ipynb", as_version=4)
    bare = [o for cell in executed.cells for o in cell.get("outputs", ()) if o.output_type == "execute_result"]
    assert not bare


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_is_kept_without_outputs(source):
    cells = nbformat.read(source, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    assert cells[0].source.startswith("# ")


@pytest.mark.parametrize("number", CHECKPOINTS)
def test_a_checkpoint_shows_its_figures(outcomes, number):
    pages = text_of(checkpoint(number, name="Jane_Doe").read_bytes())
    assert f"Astro 128, Lab 2: checkpoint {number}" in pages[0]
    assert "Jane Doe" in pages[0]
    assert all("Simulated survey" in page for page in pages)
    text = "\n".join(pages)
    assert "Figure 1." in text
    assert "Figure 2." in text
    assert "import " not in text


@pytest.fixture(scope="module")
def made(outcomes):
    """The report's PDF, and the text of its pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1762646400")
        pdf = report(name="Jane_Doe").read_bytes()
        again = report(name="Jane_Doe").read_bytes()
    return pdf, again, text_of(pdf)


def test_the_report_holds_every_figure_and_table(made):
    text = "\n".join(made[2])
    executed = [nbformat.read(build_folder("simulated") / source.name, as_version=4) for source in SOURCES]
    shown = sum(len(captions(notebook)) for notebook in executed)
    numbered = [kind for kind in ("Figure", "Table") for n in range(1, shown + 1) if f"{kind} {n}." in text]
    assert len(numbered) == shown > 0
    assert "page.show(" not in text


def test_the_report_is_a_document(made):
    pdf, again, pages = made
    assert pdf == again
    about = pypdfium2.PdfDocument(pdf).get_metadata_dict()
    assert (about["Title"], about["Author"]) == (TITLE, "Jane Doe")
    for text in (TITLE.split(":")[0], "Jane Doe", "9 November 2025", "Abstract"):
        assert text in pages[0]
    (references,) = [n for n, page in enumerate(pages, start=1) if re.search(r"^\d+ References$", page, re.M)]
    assert references <= 31, "the main part has at most 30 pages"
    # what is referred to has a number
    assert not [page for page in pages if "Figure 0" in page or "Table 0" in page]
