"""The file: whole, small, the same twice, loading nothing from elsewhere, and made anew when something has changed."""

import json
import re
import shutil

import numpy as np
import pytest
from bs4 import BeautifulSoup

from lab2 import explorer
from lab2.__main__ import main
from lab2.explorer import packing, stars
from lab2.explorer.products import Products
from lab2.explorer.writing import _assembled
from lab2.report import products
from lab2.survey import build_folder

LIMIT = 4_000_000  # bytes, of a survey of any size: the numbers of stars and of pixels are limited
LOADING = ("src", "href", "srcset", "data", "poster", "action", "formaction", "background")


@pytest.fixture
def parsed(pages):
    return BeautifulSoup(pages.simulated.read_text(encoding="utf-8"), "html.parser")


def test_nothing_is_loaded_from_elsewhere(parsed):
    found = {value for tag in parsed.find_all(True) for name, value in tag.attrs.items() if name in LOADING}
    assert found == {"#labels", "#stars", "#dial"}
    assert not parsed.find_all(["link", "iframe", "object", "embed", "img", "base"])
    own = "".join(tag.string for tag in parsed.find_all("style"))
    assert not re.search(r"url\(|@import", own)
    policy = parsed.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    # the browser refuses whatever the scripts, BokehJS among them, might ask for
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src data:",
    ]


def test_it_is_small(pages):
    assert 1_000_000 < pages.simulated.stat().st_size < LIMIT


def test_the_largest_survey_stays_below_the_limit(read, pages):
    """250 spectra of noise in 8575 pixels, whose entropy is that of all residuals, take the most room."""
    rng = np.random.default_rng(1)
    noise = np.rint(rng.normal(0, stars._PER_SIGMA, (stars.SAMPLE, 8575)))
    spectra = len(packing.packed(noise, "int8")["data"])
    factors = len(packing.packed(rng.integers(-32767, 32767, (15, 8575)), "int16")["data"])
    text = pages.simulated.read_text(encoding="utf-8")
    now = json.loads(BeautifulSoup(text, "html.parser").find(id="data").string)["stars"]["residuals"]["data"]
    assert len(text.encode()) - len(now) + spectra + factors < LIMIT


def test_the_same_products_give_the_same_bytes(explored, pages):
    before = pages.simulated.read_bytes()
    assert explorer.page("simulated").read_bytes() == before


def test_it_says_what_the_survey_is(parsed, pages):
    text = parsed.get_text(" ", strip=True)
    assert "Simulated survey simulated : 150 giants, made by lab2 and not observed; seed 7." in text
    assert re.search(r"python 3\S+, numpy \S+.*lab2 \S+, bokeh \S+", text)
    observed = BeautifulSoup(pages.observed.read_text(encoding="utf-8"), "html.parser").get_text(" ", strip=True)
    assert "Observed survey observed : 150 giants; labels of the pipeline's run synspec." in observed
    assert "imulated" not in observed.split("Three experiments")[0]


def test_a_survey_without_truth_has_none_on_its_page(pages):
    data = json.loads(BeautifulSoup(pages.observed.read_text(encoding="utf-8"), "html.parser").find(id="data").string)
    assert data["dial"]["truth"] is None
    assert not any("truth" in star or "planted" in star for star in data["stars"]["sample"])


def test_names_from_outside_are_text_and_not_markup(read):
    named = read.fits.star.values.astype(object).copy()
    named[5] = "</script><b>"
    odd = Products(**{**read.__dict__, "fits": read.fits.assign_coords(star=named), "mystery": None})
    parsed = BeautifulSoup(_assembled("a", odd), "html.parser")
    assert not any(tag.string == "" for tag in parsed.find_all("b"))
    assert "</script><b>" in [star["id"] for star in json.loads(parsed.find(id="data").string)["stars"]["sample"]]


class TestFreshness:
    @pytest.fixture
    def copy(self, explored, pages, tmp_path, monkeypatch):
        """The survey "simulated" in a home of its own, its page made."""
        (tmp_path / "data").symlink_to(explored / "data")
        shutil.copytree(explored / "build", tmp_path / "build")
        monkeypatch.setenv("LAB2_HOME", str(tmp_path))
        return tmp_path

    def test_a_page_is_fresh_until_a_product_changes(self, copy):
        assert explorer.is_fresh("simulated")
        path = build_folder("simulated") / "05_fits.nc"
        path.write_bytes(path.read_bytes() + b" ")
        assert not explorer.is_fresh("simulated")

    def test_a_page_that_was_edited_is_not_fresh(self, copy):
        with explorer.page_path("simulated").open("a") as file:
            file.write(" ")
        assert not explorer.is_fresh("simulated")

    def test_a_page_that_is_not_there_is_not_fresh(self, copy):
        explorer.page_path("simulated").unlink()
        assert not explorer.is_fresh("simulated")

    def test_what_is_missing_is_named_with_the_command_that_makes_it(self, copy, capsys):
        (build_folder("simulated") / "05_model.nc").unlink()
        assert not explorer.is_fresh("simulated")
        assert main(["explorer", "--survey", "simulated"]) == 2
        message = capsys.readouterr().err
        assert "not made on survey 'simulated' yet: 05_model.nc; run: make report" in message
        assert "run 01 02 03 04 05 --survey simulated" in message

    def test_products_of_different_stars_are_refused(self, copy):
        path = build_folder("simulated") / "05_fits.nc"
        products.save(products.load(path).isel(star=slice(1, None)), path)
        with pytest.raises(ValueError, match=r"are not of the same stars; run: .*run 03 04 05"):
            explorer.page("simulated")
