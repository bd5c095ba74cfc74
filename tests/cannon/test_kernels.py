import numpy as np
import pytest
import twins

from lab2.cannon import _kernels, polynomial

# Odd sizes, so that a loop unrolled by 2, 4 or 8 has a remainder.
N_PIXELS, N_STARS = 13, 61


UNUSABLE = [("ivar", -1.0), ("ivar", np.nan), ("ivar", np.inf), ("flux", np.nan), ("flux", np.inf)]


def weights_like(rng, shape):
    ivar = 1 / rng.uniform(0.003, 0.3, shape) ** 2
    ivar[rng.random(shape) < 0.1] = 0.0
    return ivar


def weigh(ivar, flux, which, s2):
    weight, weighted = np.empty((2, len(which), ivar.shape[1]))
    return weight, weighted, *_kernels.weigh(ivar, flux, which, s2, weight, weighted)


@pytest.mark.parametrize("n_stars", [1, 15, 16, 17, N_STARS, 400])
def test_weigh(n_stars):
    rng = np.random.default_rng(3)
    ivar = weights_like(rng, (N_PIXELS, n_stars))
    flux = rng.normal(1, 0.2, ivar.shape)
    s2 = np.concatenate([[0.0, 1e-10], np.geomspace(1e-7, 1.0, N_PIXELS - 2)])
    which = rng.permutation(N_PIXELS)
    expected = twins.weigh(ivar[which], flux[which], s2)
    for got, twin in zip(weigh(ivar, flux, which, s2), expected, strict=True):
        np.testing.assert_allclose(got, twin, rtol=1e-12, atol=1e-14)


def test_weigh_does_not_overflow_for_bright_stars_and_much_scatter():
    ivar = np.full((1, 4001), 1e10)
    log_sum = weigh(ivar, np.ones_like(ivar), np.zeros(1, dtype=int), np.array([1e3]))[2]
    assert log_sum[0] == pytest.approx(4001 * np.log(1e13), rel=1e-12)


def test_step_scatter_is_never_worse_and_ends_at_the_maximum():
    rng = np.random.default_rng(5)
    ivar = weights_like(rng, (N_PIXELS, N_STARS))
    square = rng.chisquare(1, ivar.shape) * (np.where(ivar > 0, 1 / np.maximum(ivar, 1), 0) + 1e-3)
    square[3] *= 1e-4  # far less than the noise: no scatter
    start = np.concatenate([[0.0, 1e-13], np.geomspace(1e-9, 1.0, N_PIXELS - 3), [np.inf]])

    def value(p, s2):
        seen = ivar[p] > 0
        variance = 1 / ivar[p][seen] + s2
        return (np.log(variance) + square[p][seen] / variance).sum()

    s2 = start
    for _ in range(30):
        before, s2 = s2, _kernels.step_scatter(ivar, square, s2)
        for p in range(N_PIXELS - 1):
            assert value(p, s2[p]) <= value(p, before[p]) + 1e-9
    assert np.isinf(s2[-1])
    assert s2[3] == 0.0
    for p in (k for k in range(N_PIXELS - 1) if k != 3):
        grid = s2[p] * np.geomspace(0.5, 2, 201)
        assert value(p, s2[p]) <= min(value(p, s) for s in grid) + 1e-6


def test_a_scatter_step_that_would_overshoot_is_not_taken():
    """Stars of very different noise: -2 ln L bends both ways, and Newton's step may lead uphill."""
    rng = np.random.default_rng(6)
    ivar = 10.0 ** rng.uniform(0, 8, (3000, 6))
    square = 10.0 ** rng.uniform(-8, 0, ivar.shape)
    before = 10.0 ** rng.uniform(-9, 0, 3000)
    after = _kernels.step_scatter(ivar, square, before)

    def value(s2):
        variance = 1 / ivar + s2[:, None]
        return (np.log(variance) + square / variance).sum(axis=1)

    assert (value(after) <= value(before) + 1e-9).all()
    assert (after != before).mean() > 0.5


def test_gradient_sums():
    rng = np.random.default_rng(4)
    flux, which = rng.normal(0, 0.1, (N_PIXELS, N_STARS)), rng.permutation(N_PIXELS)
    weight, model = weights_like(rng, flux.shape), rng.normal(0, 0.1, flux.shape)
    bent, first, second = twins.gradient_sums(weight, flux[which] - model)
    got_first, got_second = np.empty((2, N_PIXELS))
    _kernels.gradient_sums(flux, which, weight, model, got_first, got_second)
    np.testing.assert_allclose(model, bent, rtol=1e-12)
    np.testing.assert_allclose(got_first, first, rtol=1e-11)
    np.testing.assert_allclose(got_second, second, rtol=1e-11)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("n_stars", [5, 16, 50])
def test_take_pixels(kind, n_stars):
    rng = np.random.default_rng(16)
    ivar = weights_like(rng, (n_stars, 37)).astype(kind)
    flux = rng.normal(1, 0.2, ivar.shape).astype(kind)
    flux[ivar == 0] = np.nan  # without weight, so it must not matter
    part = slice(9, 30)
    flux_out, ivar_out = np.empty((2, 21, n_stars))
    assert _kernels.take_pixels(flux[:, part], ivar[:, part], flux_out, ivar_out)
    np.testing.assert_array_equal(ivar_out, ivar[:, part].T)
    np.testing.assert_array_equal(flux_out, np.where(ivar > 0, flux.astype(float) - 1, 0.0)[:, part].T)


@pytest.mark.parametrize("value", UNUSABLE)
def test_take_pixels_tells_what_may_not_be_used(value):
    arrays = [np.ones((20, 3)), np.full((20, 3), 100.0)]
    arrays[value[0] == "ivar"][13, 1] = value[1]
    assert not _kernels.take_pixels(*arrays, *np.empty((2, 3, 20)))


def test_sum_products():
    rng = np.random.default_rng(17)
    place = polynomial.symmetric_form(2).place
    theta = rng.normal(size=(6, 600))
    out = np.zeros((place.max() + 1, 600))
    _kernels.sum_products(theta, place, out)
    np.testing.assert_allclose(out, twins.sum_products(theta, place), rtol=1e-12, atol=1e-14)


def test_count_seen():
    rng = np.random.default_rng(19)
    ivar = weights_like(rng, (N_PIXELS, N_STARS))
    per_full = rng.uniform(0.0, 2.0, N_STARS) / np.median(ivar)
    expected = [sum(min(ivar[p, n] * per_full[n], 1.0) for n in range(N_STARS)) for p in range(N_PIXELS)]
    np.testing.assert_allclose(_kernels.count_seen(ivar, per_full), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_star_weights(kind):
    rng = np.random.default_rng(7)
    ivar = weights_like(rng, (11, 67)).astype(kind)
    ivar[3] = 0.0
    flux, flux_zero = rng.normal(1, 0.2, ivar.shape).astype(kind), rng.uniform(0.5, 1, 67)
    flux[ivar == 0] = np.nan  # without weight, so it must not matter
    s2 = np.where(rng.random(67) < 0.3, 0.0, 1e-4)
    s2[5] = np.inf
    # so that about half of the pixels count in full
    count = rng.uniform(0.5, 2.0, 11) / np.median(ivar), 0.1 / np.median(ivar)
    twin = twins.star_weights(ivar.astype(float), flux.astype(float), count, s2, flux_zero)
    chi_zero, n_pixels = np.zeros((2, 11))
    for start, stop in ((0, 30), (30, 60), (60, 67)):  # the sums go on from chunk to chunk
        weight, weighted = np.empty((2, 11, 30))
        sums = chi_zero, n_pixels
        _kernels.star_weights((flux, ivar), count, (flux_zero, s2), (start, stop), (weight, weighted), sums)
        np.testing.assert_allclose(weight[:, : stop - start], twin[0][:, start:stop], rtol=1e-12)
        np.testing.assert_allclose(weighted[:, : stop - start], twin[1][:, start:stop], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(chi_zero, twin[2], rtol=1e-12)
    np.testing.assert_allclose(n_pixels, twin[3], rtol=1e-12)
    assert n_pixels[3] == 0


@pytest.mark.parametrize("value", UNUSABLE)
def test_star_weights_tell_what_may_not_be_used(value):
    arrays = [np.ones((3, 20)), np.full((3, 20), 100.0)]
    arrays[value[0] == "ivar"][1, 13] = value[1]
    chi_zero, n_pixels, (weight, weighted) = np.zeros(3), np.zeros(3), np.empty((2, 3, 20))
    pixels, sums = (np.zeros(20), np.zeros(20)), (chi_zero, n_pixels)
    _kernels.star_weights(tuple(arrays), (np.ones(3), 0.0), pixels, (0, 20), (weight, weighted), sums)
    assert np.isfinite(chi_zero).tolist() == [True, False, True]


def test_weight_is_the_inverse_of_the_summed_variances():
    rng = np.random.default_rng(18)
    ivar, s2 = weights_like(rng, (7, 9)), np.r_[0.0, np.inf, np.geomspace(1e-8, 1.0, 7)]
    weight = _kernels.weight(ivar, s2)
    for n, p in np.ndindex(ivar.shape):
        nothing = ivar[n, p] == 0 or np.isinf(s2[p])
        assert weight[n, p] == (0.0 if nothing else pytest.approx(1 / (1 / ivar[n, p] + s2[p]), rel=1e-14))


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_misfit_sums(kind):
    rng = np.random.default_rng(311)
    best, s2 = rng.uniform(0.6, 1.0, (5, 40)), rng.uniform(0, 1e-4, 40)
    flux, ivar = best + rng.normal(0, [[0.001], [0.03], [0.1], [0.02], [0.05]], (5, 40)), rng.uniform(1e2, 1e5, (5, 40))
    ivar[1, ::3], s2[7], flux[2, 5], ivar[2, 5] = 0.0, np.inf, np.nan, 0.0
    ivar[4] = 0.0
    flux, ivar = flux.astype(kind), ivar.astype(kind)
    excess, total = _kernels.misfit_sums(flux, ivar, best, s2)
    expected = twins.misfit_sums(flux.astype(float), ivar.astype(float), best, s2)
    np.testing.assert_allclose(excess, expected[0], rtol=1e-12)
    np.testing.assert_allclose(total, expected[1], rtol=1e-12)
    assert excess[0] == 0.0 < excess[1]
    assert total[4] == 0.0
