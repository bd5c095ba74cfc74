"""The page in a browser: its three experiments, by mouse and by keyboard, against the package's own numbers."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from lab2 import cannon
from lab2.report.words import measured

TOLERANCE = 3e-4  # as in test_numbers


@pytest.fixture
def opened(chrome, pages):
    """The simulated survey's page; after the test its console must be empty."""
    chrome.open(pages.simulated)
    yield chrome
    chrome.settle()
    assert chrome.problems == []


@pytest.fixture(scope="module")
def data(pages):
    return json.loads(BeautifulSoup(pages.simulated.read_text(encoding="utf-8"), "html.parser").find(id="data").string)


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def act(browser, code):
    """Run code with the page's parts: labels, stars, dial, model."""
    return browser.evaluate(f"lab2.then(({{ labels, stars, dial, model }}) => {{ {code} }})")


def focus(browser, selector):
    browser.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")


def cells(browser, selector):
    """The cells of a table, row by row."""
    return browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector + ' tr')})]"
        ".map((row) => [...row.children].map((cell) => cell.innerText.trim()))"
    )


def test_nothing_is_asked_for_but_the_file(opened, pages):
    assert [url for url in opened.requests if not url.startswith("data:")] == [pages.simulated.as_uri()]


def test_spectra_and_distances_are_those_of_the_package(opened, read):
    rng = np.random.default_rng(3)
    mean, scale = read.model.label_mean.values, read.model.label_scale.values
    labels = mean + scale * rng.normal(0, 1.5, (5, len(mean)))
    factors = rng.normal(size=(5, read.model.loadings.sizes["factor"]))
    found = act(
        opened,
        f"const given = {json.dumps([labels.tolist(), factors.tolist()])};"
        "return given[0].map((one, n) => [Array.from(model.predict(one, given[1][n])), model.distance(one)]);",
    )
    wanted = read.model.predict(labels, factors).values[:, read.model.trained.values]
    np.testing.assert_allclose([flux for flux, _ in found], wanted, atol=3 * TOLERANCE)
    np.testing.assert_allclose([d for _, d in found], cannon.training_distance(read.model, labels), rtol=1e-9)


def test_how_far_apart_two_spectra_are(opened, read):
    mean, scale = read.model.label_mean.values, read.model.label_scale.values
    pair, snr = [mean.tolist(), (mean + scale).tolist()], 100.0
    found = act(
        opened,
        f"const [one, other] = {json.dumps(pair)}.map((labels) => model.predict(labels, []));"
        f"return difference(model, one, other, {snr});",
    )
    good = read.model.trained.values
    one, other = read.model.predict(np.array(pair)).values[:, good]
    apart = one - other
    chi2 = np.sum(apart**2 / (snr**-2 + read.model.s2.values[good]))
    assert [found["rms"], found["mean"]] == pytest.approx([np.sqrt(np.mean(apart**2)), apart.mean()], abs=TOLERANCE)
    assert found["chi2"] == pytest.approx(chi2, rel=0.02)


def test_numbers_are_rounded_as_the_report_rounds_them(opened):
    rng = np.random.default_rng(4)
    pairs = [(v, e) for v, e in zip(rng.normal(0, 3, 200), 10 ** rng.uniform(-4, 1, 200), strict=True)]
    pairs += [(4712.4, 38.2), (4712.4, 96.2), (-9.13, 1.97), (0.0513, 0.0068), (-0.0001, 0.02)]
    found = opened.evaluate(f"{json.dumps(pairs)}.map(([value, error]) => measured(value, error))")
    assert found == [measured(value, error) for value, error in pairs]
    assert opened.evaluate("measured(null, 1) + fixed(-0.001, 2) + fixed(-1.5, 1) + signed(2, 0)") == "–0.00−1.5+2"


class TestLabels:
    def test_a_slider_moves_by_the_keyboard_and_the_light_says_where_it_leads(self, opened, read):
        before = act(opened, "return labels.labels[1]")
        assert text(opened, "#light").startswith("Inside the training set: distance 0.")
        focus(opened, "#label-logg")
        opened.press("ArrowRight", 3)
        assert act(opened, "return labels.labels[1]") == pytest.approx(before + 0.03, abs=1e-9)
        assert text(opened, "output[for=label-logg]") == f"{before + 0.03:.2f}"
        opened.press("Home")
        focus(opened, "#label-teff")
        opened.press("End")  # hot, and of low gravity: no giant
        now = act(opened, "return labels.labels")
        distance = float(cannon.training_distance(read.model, [now])[0])
        assert distance > 1
        assert text(opened, "#light") == f"Extrapolating: distance {distance:.2f} (its edge is at 1)"
        assert act(opened, "return document.getElementById('light').classList.contains('outside')")

    def test_the_spectrum_drawn_is_that_of_the_sliders(self, opened, read):
        focus(opened, "#label-fe_h")
        opened.press("End")
        now = act(opened, "return labels.labels")
        drawn = act(opened, "const { x, y } = labels.view.sources.first.data; return [Array.from(x), Array.from(y)]")
        wavelength = read.model.wavelength.values
        inside = read.model.trained.values & (wavelength > 15700.001) & (wavelength < 15799.999)
        np.testing.assert_allclose(drawn[0], wavelength[inside], atol=2e-3)
        # the label lies outside the training set, where the terms and with them the rounding are larger
        np.testing.assert_allclose(drawn[1], read.model.predict(now).values[inside], atol=5 * TOLERANCE)
        names = act(opened, "return labels.view.lineNames.data.text")
        assert names.count("Mg I") == 3
        overview = act(opened, "return Array.from(labels.view.sources.all.data.x)")
        assert sum(value is None for value in overview) >= 2  # the gaps between the chips

    def test_a_frozen_star_is_matched_by_hand(self, opened, read):
        assert act(opened, "return document.getElementById('release').disabled")
        focus(opened, "#pair")
        opened.press("Enter")
        frozen, this = act(opened, "return [labels.frozen.labels, labels.labels]")
        assert frozen[:3] == [4200, 1.6, 0]
        assert this[:3] == [4650, 2.5, 0]

        def rms():
            this = act(opened, "return labels.labels")
            spectra = read.model.predict([this, frozen]).values[:, read.model.trained.values]
            assert float(text(opened, "#rms")) == pytest.approx(np.std(spectra[0] - spectra[1]), rel=0.3)
            wanted = np.sqrt(np.mean((spectra[0] - spectra[1]) ** 2))
            assert float(text(opened, "#rms")) == pytest.approx(wanted, abs=TOLERANCE)
            return wanted

        before = rms()
        focus(opened, "#label-teff")
        opened.press("ArrowLeft", 90)
        focus(opened, "#label-logg")
        opened.press("ArrowLeft", 90)
        assert rms() < 0.02 * before
        assert "no spectrum of this S/N tells them apart" in text(opened, "#comparison")
        seen = "labels.view.places.difference.checkVisibility()"
        assert act(opened, f"return {seen}")
        focus(opened, "#release")
        opened.press(" ")
        assert not act(opened, f"return {seen}")
        assert text(opened, "#comparison") == ""

    def test_hidden_factors_change_the_spectrum_and_not_the_labels(self, opened, read):
        focus(opened, "#factor-box summary")
        opened.press("Enter")
        focus(opened, "#factor-1")
        before = act(opened, "return Array.from(model.predict(labels.labels, labels.factors))")
        opened.press("End")
        after = act(opened, "return Array.from(model.predict(labels.labels, labels.factors))")
        loadings = read.model.loadings.values[read.model.trained.values, 0]
        np.testing.assert_allclose(np.subtract(after, before), 3 * loadings, atol=TOLERANCE)

    def test_a_click_on_the_whole_range_moves_the_window(self, opened):
        where = click_on(opened, "labels.view.overview", "labels.view.places.overview", 16300.0, 0.8)
        assert act(opened, "return labels.view.center") == pytest.approx(16300, abs=where)
        assert text(opened, "output[for=labels-center]").endswith(" Å")


def click_on(browser, figure, place, x, y):
    """Click at data coordinates of a chart; returns what a pixel is worth along x."""
    a, b, per_pixel = act(
        browser,
        f"const place = {place}, figure = {figure};"
        "place.scrollIntoView({ block: 'center', behavior: 'instant' });"
        "const box = place.getBoundingClientRect();"
        "const view = Object.values(Bokeh.index.roots ?? {}).find((one) => one.model === figure)"
        "  ?? [...Bokeh.index].find((one) => one.model === figure);"
        "const { bbox, x_scale, y_scale } = view.frame;"
        f"const at = [x_scale.compute({x}), y_scale.compute({y})];"
        "const worth = Math.abs(figure.x_range.end - figure.x_range.start) / bbox.width;"
        "return [box.left + at[0], box.top + at[1], worth];",
    )
    browser.settle()
    browser.click(a, b)
    return 3 * per_pixel


class TestStars:
    def test_a_click_in_the_kiel_diagram_chooses_the_star(self, opened, read, data):
        n = next(n for n, star in enumerate(data["stars"]["sample"]) if star["kind"] == "" and n > 20)
        star = data["stars"]["sample"][n]
        teff, logg = read.fits.labels.values[star["star"], :2]
        click_on(opened, "stars.kiel", "document.getElementById('kiel')", teff, logg)
        chosen = act(opened, "return stars.sample[stars.chosen]")
        near = read.fits.labels.values[chosen["star"], :2]
        assert abs(near[0] - teff) < 30
        assert abs(near[1] - logg) < 0.1
        assert chosen["id"] in text(opened, "#about-star")
        assert chosen["id"] in opened.evaluate("document.getElementById('kiel').getAttribute('aria-label')")
        for name in ("kiel", "residual"):
            marked = act(opened, f"const {{ x, y }} = stars.points.{name}.one.data; return [x[0], y[0]]")
            wanted = [near[0], near[1]]
            if name == "residual":
                known = float(read.spectra.labels.values[chosen["star"], 0])
                wanted = [known, near[0] - known]
            np.testing.assert_allclose(marked, wanted, rtol=1e-5, atol=1e-2)

    def test_the_keyboard_steps_through_odd_stars(self, opened, data):
        odd = [star for star in data["stars"]["sample"] if star["kind"] != ""]
        focus(opened, "#which")
        opened.press("ArrowDown")
        assert f"odd stars ({len(odd)})" in text(opened, "#which")
        focus(opened, "#star")
        opened.press("Home")
        seen = []
        for _ in odd:
            seen.append(act(opened, "return stars.sample[stars.chosen].id"))
            assert f"{odd[len(seen) - 1]['kind']}: " in text(opened, "#about-star")
            opened.press("ArrowDown")
        assert seen == [star["id"] for star in odd]
        focus(opened, "#previous")
        opened.press("Enter")
        assert act(opened, "return stars.sample[stars.chosen].id") == odd[-2]["id"]

    def test_data_and_fit_of_a_star_are_those_of_the_survey(self, opened, read, data):
        n = next(n for n, star in enumerate(data["stars"]["sample"]) if star["kind"] == "" and n > 30)
        star = data["stars"]["sample"][n]
        act(opened, f"stars.choose({n})")
        x, y = act(opened, "const { x, y } = stars.view.sources.first.data; return [Array.from(x), Array.from(y)]")
        found = {round(a, 2): b for a, b in zip(x, y, strict=True) if a is not None}
        pixels = np.flatnonzero([round(float(np.float32(w)), 2) in found for w in read.model.wavelength.values])
        assert len(pixels) > 300
        flux, ivar = (read.spectra[name].values[star["star"], pixels] for name in ("flux", "ivar"))
        drawn = [found[round(float(np.float32(w)), 2)] for w in read.model.wavelength.values[pixels]]
        assert [value is None for value in drawn] == (ivar == 0).tolist()
        good = ivar > 0
        drawn = np.array([np.nan if value is None else value for value in drawn])
        assert np.abs(drawn - flux)[good].max() < star["step"]

    def test_catalog_and_truth_are_shown_when_they_are_asked_for(self, opened, read, data):
        n = next(n for n, star in enumerate(data["stars"]["sample"]) if star["kind"] == "double")
        star = act(opened, f"stars.choose({n}); return stars.sample[{n}]")
        assert cells(opened, "#star-table")[0] == ["", "fit"]
        for box in ("#reveal-catalog", "#reveal-truth"):
            focus(opened, box)
            opened.press(" ")
        rows = cells(opened, "#star-table")
        assert rows[0] == ["", "fit", "catalog", "truth"]
        n, errors = star["star"], np.sqrt(np.diag(read.fits.covariance.values[star["star"]]))
        for k, row in enumerate(rows[1:]):
            assert row[1] == measured(np.float32(read.fits.labels.values[n, k]), float(f"{errors[k]:.3g}"))
            for cell, values in zip(row[2:], (read.spectra.labels.values, read.truth.values), strict=True):
                assert float(cell.replace("−", "-")) == pytest.approx(values[n, k], abs=errors[k])
        assert "Simulated as" in text(opened, "#about-star")

    def test_a_star_without_a_fit_is_told_in_words(self, opened, data):
        n = next(n for n, star in enumerate(data["stars"]["sample"]) if star["star"] == 0)
        act(opened, f"stars.choose({n})")
        assert "too few pixels carry information" in text(opened, "#about-star")
        assert cells(opened, "#star-table")[1][1] == "–"
        assert act(opened, "return stars.view.sources.second.data.x.length") == 0

    def test_a_star_is_taken_over_to_the_sliders(self, opened, data):
        n = next(n for n, star in enumerate(data["stars"]["sample"]) if star["kind"] == "")
        act(opened, f"stars.choose({n})")
        focus(opened, "#take")
        opened.press("Enter")
        wanted, found = data["stars"]["sample"][n]["curve"], act(opened, "return labels.labels")
        assert np.all(np.abs(np.subtract(found, wanted)) <= [2.5, *[0.0051] * 4])  # half a step of each slider


class TestDial:
    @pytest.mark.parametrize(
        ("positions", "index"), [((0, 0, 0, 0, 0), 0), ((1, 0, 1, 2, 3), 4 * (4 * (2 * 2 + 1) + 2) + 3)]
    )
    def test_switches_choose_the_case_whose_ellipse_is_drawn(self, opened, data, positions, index):
        for n, at in enumerate(positions):
            focus(opened, f"input[name=switch-{n}][value='0']")
            opened.press("ArrowDown", at)
        case = data["dial"]["cases"][index]
        x, y = act(opened, "const { x, y } = dial.sources.formal.data; return [x, y]")
        ring = np.array([[a, b] for a, b in zip(x, y, strict=True) if a is not None])
        offset = ring - np.array(case["labels"])[:2]
        squared = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(np.array(case["covariance"])[:2, :2]), offset)
        np.testing.assert_allclose(squared[:91], 1.0, rtol=1e-6)  # 1 sigma
        np.testing.assert_allclose(squared[91:], 4.0, rtol=1e-6)
        rows, errors = cells(opened, "#dial-table"), np.sqrt(np.diag(case["covariance"]))
        for k, row in enumerate(rows[1:]):
            assert row[1] == measured(case["labels"][k], errors[k])
            assert (row[2] == "–") == ("calibrated" not in case)
            miss = (case["labels"][k] - data["dial"]["truth"][k]) / errors[k]
            assert float(row[4].replace("−", "-")) == pytest.approx(miss, abs=0.051)
        assert ("No calibrated errors" in text(opened, "#dial-summary")) == ("calibrated" not in case)

    def test_another_pair_of_labels(self, opened, data):
        focus(opened, "#dial-x")
        opened.press("ArrowDown", 2)
        case = data["dial"]["cases"][0]
        assert act(opened, "return dial.sources.center.data.x[0]") == case["labels"][2]
        assert act(opened, "return dial.sources.truth.data.x[0]") == data["dial"]["truth"][2]

    def test_a_survey_without_truth_compares_with_the_final_model(self, chrome, pages):
        chrome.open(pages.observed)
        assert cells(chrome, "#dial-table")[0][3] == "final model"
        assert text(chrome, "#dial-summary") == "This is the final model. Change something."
        focus(chrome, "input[name=switch-0][value='0']")
        chrome.press("ArrowDown")
        assert "Farthest from the final model in formal errors" in text(chrome, "#dial-summary")
        assert not chrome.evaluate("document.getElementById('reveal-truth-box').checkVisibility()")
        assert chrome.problems == []


class TestAccess:
    def test_everything_that_is_operated_has_a_name(self, opened):
        tree = opened.call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "slider", "combobox", "listbox", "checkbox", "radio", "image", "form", "option", "link")
        found = [node for node in tree if not node["ignored"] and node["role"]["value"] in roles]
        assert len(found) > 40
        assert [node["role"]["value"] for node in found if not node.get("name", {}).get("value")] == []

    @pytest.mark.parametrize("width", [1280, 390])
    def test_texts_have_contrast_and_size(self, chrome, pages, width):
        chrome.open(pages.simulated, width=width)
        act(chrome, "labels.set(labels.pair.cool); labels.freeze();")
        found = chrome.evaluate(CONTRASTS)
        assert len(found) > 60
        assert min(found, key=lambda one: one["contrast"])["contrast"] >= 4.5
        assert min(found, key=lambda one: one["size"])["size"] >= 12

    def test_a_phone_shows_the_page_without_scrolling_sideways(self, chrome, pages):
        chrome.open(pages.simulated, width=390, height=844)
        assert chrome.evaluate("document.documentElement.scrollWidth") <= 390
        widths = chrome.evaluate("[...document.querySelectorAll('.chart:not([hidden])')].map((one) => one.clientWidth)")
        assert min(widths) > 300
        sizes = chrome.evaluate(
            "[...document.querySelectorAll('button, select, input[type=range]')].map((one) => one.offsetHeight)"
        )
        assert min(size for size in sizes if size) >= 24
        assert chrome.problems == []


# Contrast (WCAG 2.2, 1.4.3) and size of every text that is seen.
CONTRASTS = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (color) => {
    const [r, g, b] = parse(color).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor, parts = parse(color);
      if (parts.length < 4 || parts[3] > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, unseen = "[aria-hidden], script, style, noscript";
    if (!node.data.trim() || !element.checkVisibility() || element.closest(unseen)) continue;
    const style = getComputedStyle(element);
    const [high, low] = [light(style.color), light(behind(element))].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    found.push({ text: node.data.trim().slice(0, 30), contrast, size: parseFloat(style.fontSize) });
  }
  return found;
})()
"""
