"""The report's order: front matter, sections, appendices, by the tags of the cells."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab2.report import document


def notebook(title, *cells):
    return new_notebook(cells=[new_markdown_cell(f"# {title}"), *cells])


def tagged(text, *tags):
    return new_markdown_cell(text, metadata={"tags": list(tags)})


@pytest.fixture
def arranged(survey):
    """Text, depth and part of each cell, in the report's order."""
    frame = new_notebook(
        cells=[
            tagged("# The frame", "notebook-only"),
            tagged("We show.", "abstract"),
            tagged("## Introduction", "introduction"),
            tagged("## Summary"),
            tagged("## Questions", "appendix"),
        ]
    )
    notice = new_output("display_data", data={"text/markdown": "Seed 1"}, metadata={"lab2": {"role": "notice"}})
    said = new_output("display_data", data={"text/markdown": "A result"})
    notebooks = {
        "01_stars": notebook("Stars", new_code_cell("introduce()", outputs=[notice, said])),
        "02_spectra": notebook("Spectra", tagged("details", "appendix"), tagged("## Units")),
        "05_crossed": notebook("Crossed", tagged("## Errors")),
        "10_report": frame,
        "11_mine": notebook("Mine"),
    }
    cells = document._arranged(notebooks, "simulated")
    return cells, [
        (c.source.split("\n")[0], c.metadata["lab2"].get("depth", 0), c.metadata["lab2"].get("part")) for c in cells
    ]


def test_the_parts_of_a_report(arranged):
    _, rows = arranged
    assert rows == [
        ("We show.", -1, "abstract"),
        ("", 0, "contents"),
        ("## Introduction", -1, None),
        ("# Data", 0, None),
        ("# Stars", 1, None),
        ("introduce()", 1, None),
        ("# Spectra", 1, None),
        ("## Units", 1, None),
        ("# Crossed", 0, None),
        ("## Errors", 0, None),
        ("## Summary", -1, None),
        ("# Mine", 0, None),
        ("# Acknowledgement", 0, None),
        ("# References", 0, "references"),
        ("", 0, "appendix"),
        ("## Questions", -1, None),
        ("# Diagnostics", 0, None),
        ("## Spectra", 0, None),
        ("details", 1, None),
    ]


def test_figures_float_in_the_main_part_only(arranged):
    cells, _ = arranged
    fixed = [cell.source for cell in cells if cell.metadata["lab2"].get("floats") is False]
    assert fixed == ["details"]


def test_a_report_says_once_which_survey_it_shows(arranged):
    cells, _ = arranged
    outputs = [output.data["text/markdown"] for cell in cells for output in cell.get("outputs", ())]
    assert outputs == ["A result"]
