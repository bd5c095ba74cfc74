"""An error of a page is short on the screen, what to do first; for programs it is an error like any other."""

import traceback

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from lab2.report import Page
from lab2.report.briefly import briefly


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """What IPython shows when it runs a cell."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shell = InteractiveShell(colors="nocolor", config=Config(HistoryManager={"enabled": False}))

    def run(source):
        with capture_output() as captured:
            shell.run_cell(source)
        return captured.stdout.strip().splitlines()

    return run


def test_a_missing_product_says_first_how_to_make_it(home, survey, shown):
    lines = shown('from lab2.report import Page\npage = Page("05_x", "simulated", 1)\nx = page.open("04_model.nc")')
    assert len(lines) == 2
    assert lines[0].startswith("FileNotFoundError: run ")
    assert "-m lab2 run 04 --survey simulated" in lines[0]
    assert lines[1] == 'in line 3 of the cell: x = page.open("04_model.nc")'


def test_a_survey_that_was_never_made_is_said_in_two_lines(home, shown):
    lines = shown('from lab2.report import Page\nPage("05_x", "simulated", 1)')
    assert len(lines) == 2
    assert "-m lab2 simulate" in lines[0]


def test_other_errors_keep_their_traceback(home, shown):
    assert len(shown("def f():\n    raise ValueError('x')\nf()")) > 5


def test_for_a_program_it_is_an_error_like_any_other(home, survey):
    page = Page("05_x", "simulated", 1)
    with pytest.raises(FileNotFoundError) as caught:
        page.open("04_model.nc")
    assert "in _made" in "".join(traceback.format_exception(caught.value))
    error = briefly(KeyError("a"))
    with pytest.raises(KeyError):
        raise error
