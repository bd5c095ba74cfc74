import numpy as np
import pytest
from twins import drawn_survey

from lab2 import cannon
from lab2.validation import flagged, response, strangers, weight_on_lines


@pytest.fixture(scope="module")
def drawn():
    """Sixty stars of two labels on 60 pixels, and the model that they were trained into."""
    spectra = drawn_survey(np.random.default_rng(3), n_stars=60, n_labels=2, n_pixels=60)[0]
    return spectra, cannon.train(spectra)


def test_strangers_are_made_as_their_names_say(drawn):
    spectra, _ = drawn
    made = strangers(spectra)
    np.testing.assert_array_equal(made["nothing"].flux, spectra.flux)
    np.testing.assert_allclose(made["half the lines"].flux - 1, (spectra.flux - 1) / 2)
    np.testing.assert_array_equal(made["shifted by 30 km/s"].flux[:, 7:], spectra.flux[:, :-7].values)  # 4.14 km/s each
    np.testing.assert_array_equal(np.sort(made["pixels shuffled"].flux), np.sort(spectra.flux))
    pulls = (made["no lines"].flux - 1).values * np.sqrt(spectra.ivar.values)
    assert pulls[spectra.ivar.values > 0].std() == pytest.approx(1, abs=0.05)


def test_the_share_of_flagged_answers(drawn):
    fits = cannon.fit_labels(drawn[1], drawn[0])
    flags = np.zeros(60, dtype=int)
    flags[:15] = cannon.Flag.POOR_FIT
    flags[15:30] = cannon.Flag.MULTIPLE_MINIMA  # no sign of a strange spectrum
    assert flagged(fits.assign(flag=("star", flags))) == 0.25


def test_a_method_that_reads_each_label_by_itself_answers_with_the_identity(drawn):
    spectra, model = drawn
    exact = spectra.assign(
        flux=model.predict(spectra.labels).transpose("star", "wavelength").astype(spectra.flux.dtype)
    )
    found = response(lambda one: cannon.fit_labels(model, one), model, exact)
    np.testing.assert_allclose(found, np.eye(2), atol=0.02)


def test_a_method_that_knows_only_the_company_is_found_out(drawn):
    spectra, model = drawn

    def company(one):
        fits = cannon.fit_labels(model, one)
        scaled = model.scale(fits.labels)
        both = model.label_mean.values + model.label_scale.values * scaled[:, [0, 0]]
        return fits.assign(labels=(("star", "label"), both))

    found = response(company, model, spectra)
    np.testing.assert_allclose(found, [[1, 1], [0, 0]], atol=0.1)


def test_weight_on_lines_is_1_for_a_flat_curve_and_more_for_the_lines_themselves():
    from lab2.grid import WAVELENGTH
    from lab2.lines import strong_lines

    lines = strong_lines("Mg", -0.5)["wavelength"].value
    near = np.abs(WAVELENGTH[:, None] - lines).min(axis=1) < 0.3
    table = weight_on_lines(WAVELENGTH, {"flat": np.ones(WAVELENGTH.size), "lines": near.astype(float)}, ["Mg", "Si"])
    np.testing.assert_allclose(table["flat"], 1)
    assert table["lines"][0] == pytest.approx(1 / near.mean(), rel=1e-6)
    assert table["lines"][1] < 0.2 * table["lines"][0]
