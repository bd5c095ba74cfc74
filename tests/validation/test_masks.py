"""Bits of the pixel mask to heed, where light was added to the pixels of one bit."""

import numpy as np

from lab2 import apstar, continuum, simulate, train
from lab2.validation import compare_masks


def test_masking_the_bit_of_spoiled_pixels_improves_the_fit_and_another_bit_does_not(tmp_path):
    giants = simulate.giants(120, seed=5)
    trusted = continuum.load_pixels()
    few = giants.isel(star=slice(0, 6))
    spoiled = np.zeros(giants.sizes["wavelength"], dtype=bool)
    spoiled[600:1300] = True
    flux = 500 * few.flux.values * (1 + 0.2 * spoiled)
    bitmask = np.where(spoiled, int(apstar.PixelBit.PERSIST_HIGH), 0)
    files = [
        apstar.write(
            tmp_path / f"apStar-{k}.fits",
            np.tile(flux[k], (2, 1)),
            np.full((2, flux.shape[1]), 5.0),
            np.tile(bitmask, (2, 1)),
            {"OBJID": str(star)},
        )
        for k, star in enumerate(few.star.values)
    ]
    raw = apstar.read_many(files, progress=False)
    masks = {"none": [], "low": ["PERSIST_LOW"], "high": ["PERSIST_HIGH"]}
    table = compare_masks(train(giants), raw, few.labels, masks, trusted)
    none, low, high = table
    assert table.colnames == ["mask", "pixels", "chi2", "teff", "logg", "fe_h", "mg_fe", "si_fe"]
    assert none["pixels"] - high["pixels"] == spoiled.sum()
    assert [low[name] for name in table.colnames[1:]] == [none[name] for name in table.colnames[1:]]
    assert high["chi2"] < 0.8 * none["chi2"]
    assert high["teff"] < none["teff"]
    assert high["fe_h"] < none["fe_h"]
