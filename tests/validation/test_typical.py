"""Stars that a model describes, where those that it cannot describe were planted."""

import numpy as np
from plain_survey import SPREAD, model, spectra

from lab2 import train
from lab2.validation import well_predicted


def test_planted_odd_stars_are_left_out_and_few_others():
    stars = spectra(n_stars=300, scatter=0.002)
    odd = np.array([3, 240])
    flux, labels = stars.flux.values.copy(), stars.labels.values.copy()
    flux[3] = flux[3, ::-1]
    labels[240] += SPREAD  # wrong labels
    spoiled = stars.assign(flux=(stars.flux.dims, flux), labels=stars.labels.copy(data=labels))
    first = train(spoiled)
    kept = well_predicted(first, spoiled)
    assert not kept[odd].any()
    assert kept.sum() >= 0.95 * 298
    again = train(spoiled.isel(star=np.flatnonzero(kept)))
    true = 0.002
    assert abs(float(np.sqrt(again.s2).median()) - true) < 0.4 * true < float(np.sqrt(first.s2).median()) - true


def test_a_star_without_pixels_or_label_is_not_well_predicted():
    stars, fitted = spectra(n_stars=80), model(n_stars=80)
    ivar, labels = stars.ivar.values.copy(), stars.labels.values.copy()
    ivar[5] = 0.0
    labels[7, 0] = np.nan
    flux = np.where(ivar > 0, stars.flux.values, np.nan)
    some = stars.assign(
        flux=(stars.flux.dims, flux), ivar=(stars.ivar.dims, ivar), labels=stars.labels.copy(data=labels)
    )
    assert set(np.flatnonzero(~well_predicted(fitted, some))) >= {5, 7}
    assert not well_predicted(fitted, some.isel(star=[5, 7])).any()
