import pytest
from nbformat.v4 import new_markdown_cell

from lab2.report import checkpoints
from lab2.report.checkpoints import checkpoint_path
from lab2.report.pdfs import named


@pytest.mark.parametrize("name", ["", "a/b", "/etc/x", "..", "Jane Doe", "a\nb", "a\\b", "-x", "_x", "a*"])
def test_a_name_that_is_no_part_of_a_file_name(home, name):
    with pytest.raises(ValueError, match="written like Firstname_Lastname"):
        checkpoint_path(1, "simulated", name)


def test_there_are_three_checkpoints(home):
    with pytest.raises(ValueError, match="1, 2 and 3, not 4"):
        checkpoint_path(4, "simulated")


def test_items_are_lettered_and_each_but_the_first_may_begin_a_page():
    texts = ["## One\n\n### Its detail", "no heading", "## Two"]
    cells = checkpoints._lettered([named(new_markdown_cell(text), "04_x", 1) for text in texts])
    assert [cell.source for cell in cells] == ["## (a) One\n\n### Its detail", "no heading", "## (b) Two"]
    assert [cell.metadata["lab2"].get("part") for cell in cells] == [None, None, "next item"]
