"""What a notebook says and shows: dedented prose, captions of one paragraph, listed numbers, parameters."""

import nbformat
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from nbformat.v4 import new_code_cell, new_notebook

from lab2 import lines
from lab2.report import Page, correlated, counted, graded, joined, listed, measured, notices, page, with_errors
from lab2.report.html import html_table
from lab2.report.run import parameters_of
from lab2.survey import write_manifest


@pytest.fixture
def sheet(home, monkeypatch):
    """A page, and what it displays as (thing, metadata)."""
    folder = home / "data" / "simulated"
    folder.mkdir(parents=True)
    Table({"a": [1]}, meta={"SIMULATE": True}).write(folder / "allStar.fits")
    write_manifest(folder, simulated=True, label_tree="synspec")
    seen = []
    for module in (page, notices):
        monkeypatch.setattr(module, "display", lambda thing, raw=False, metadata=None: seen.append((thing, metadata)))
    return Page("04_spectral_model", "simulated", 11), seen


def test_prose_loses_the_margin_of_the_code_around_it(sheet):
    write, seen = sheet
    if True:
        write.say(f"""
            Of {3} stars:

            * one
              more

            and so on.
        """)
    assert seen[0][0].data == "Of 3 stars:\n\n* one\n  more\n\nand so on."


def test_prose_of_one_line_stays_what_it_is(sheet):
    write, seen = sheet
    write.say("```sql\nselect 1\n  from x\n```")
    assert seen[0][0].data == "```sql\nselect 1\n  from x\n```"
    with pytest.raises(ValueError, match="nothing to say"):
        write.say("  \n ")


def test_a_caption_is_one_paragraph(sheet):
    write, seen = sheet
    write.display_table(
        QTable({"a": [1]}),
        """One
        and two.""",
    )
    assert seen[1][0].data == "One and two."
    with pytest.raises(ValueError, match="caption"):
        write.display_table(QTable({"a": [1]}), "\n  ")


def test_numbers_are_listed_with_their_names():
    assert listed(np.array([0.5, -1.25]), ["a", "b"], "+.1f") == "+0.5 (a), -1.2 (b)"
    with pytest.raises(ValueError, match="zip"):
        listed([1.0], ["a", "b"])


def test_a_sentence_changes_with_its_number():
    texts = ["small", "fair", "large"]
    said = [graded(x, [1, 2], texts) for x in (-9, 0.999, 1, 1.5, 2, 9)]
    assert said == ["small", "small", "fair", "fair", "large", "large"]
    assert graded(float("nan"), [1, 2], texts) == ""
    for limits, few in (([1], texts), ([2, 1], texts), ([], [])):
        with pytest.raises(ValueError, match="ascending limits and one text more"):
            graded(0, limits, few)


def test_a_correlation_is_called_by_its_size_and_sign():
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=(2, 5000))
    named = {
        "strongly correlated": x + 0.3 * noise,
        "strongly anticorrelated": -x + 0.3 * noise,
        "anticorrelated": -x + noise,
        "weakly correlated": x + 3 * noise,
        "hardly correlated": noise,
    }
    assert {name: correlated(np.corrcoef(x, y)[0, 1]) for name, y in named.items()} == {name: name for name in named}


def test_a_value_is_rounded_to_its_error():
    cases = {
        (-9.13, 1.97): "−9.1 ± 2.0",
        (4712.4, 38.2): "4710 ± 40",
        (123, 9.7): "123 ± 10",
        (1234, 97): "1230 ± 100",
        (0.0513, 0.00995): "0.051 ± 0.010",
        (-0.0001, 0.02): "0.000 ± 0.020",
        (1, 0.354): "1.00 ± 0.35",
        (1, 0.355): "1.0 ± 0.4",
        (5.0, np.nan): "5",
        (np.nan, 1.0): "–",
    }
    assert {pair: measured(*pair) for pair in cases} == cases


def test_labels_are_known_by_their_symbols():
    assert joined(["fe_h", "S/N"]) == "[Fe/H] and S/N"
    assert listed([1.0], ["logg"], ".0f") == r"1 ($\log g$)"
    assert counted(["mg_fe"]) == "[Mg/Fe] 1"
    table = QTable({"label": ["teff", "si_fe", "other"], "fe_h": ["teff", "b_$", "c"]})
    html = html_table(table)
    assert r"<th>label</th><th>[Fe/H]</th>" in html
    assert r"<td>$T_\mathrm{eff}$ [K]</td><td>$T_\mathrm{eff}$</td>" in html
    assert "<td>[Si/Fe] [dex]</td><td>b_<span>$</span></td>" in html


def test_values_and_errors_share_a_column():
    table = QTable({"label": ["teff"], "bias": [-9.1], "bias_error": [2.0], "n": [3], "free_error": [1.0]})
    merged = with_errors(table)
    assert merged.colnames == ["label", "bias", "n", "free_error"]
    assert merged["bias"][0] == "−9.1 ± 2.0"
    assert with_errors(QTable({"v": [1.0] * u.K, "v_error": [0.1] * u.K}))["v"].unit == u.K


def test_names_are_joined_and_counted():
    assert [joined(names) for names in ([], ["a"], ["a", "b"], np.array(["a", "b", "c"]))] == [
        "none",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert counted(np.array(["CO", "OH", "OH"])) == "OH 2, CO 1"
    assert counted([]) == "none"


def written(folder, source, tags=("parameters",)):
    cell = new_code_cell(source, metadata={"tags": list(tags)})
    path = folder / "01_first.ipynb"
    nbformat.write(new_notebook(cells=[cell]), path)  # no kernel and no language are named
    return path


def testparameters_of_are_what_the_tagged_cell_assigns(tmp_path, capfd, caplog):
    assert parameters_of(written(tmp_path, 'survey = "simulated"\nseed = 1  # of it all')) == {"survey", "seed"}
    assert parameters_of(written(tmp_path, "seed = 1", tags=())) == set()
    assert "".join(capfd.readouterr()) == ""
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_lines_to_mark_are_strong_inside_and_apart():
    found = lines.spaced_lines({"Fe": 1.7, "Mg": 1.3}, (15700, 15800), apart=5)
    at = np.array(list(found.values()))
    assert len(at) > 2
    assert ((at > 15700) & (at < 15800)).all()
    assert np.diff(np.sort(at)).min() > 5
    magnesium = [name for name in found if name.startswith("Mg")]
    assert magnesium
    assert next(iter(found)).startswith("Fe")  # those named first go first
