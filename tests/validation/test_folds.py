import numpy as np
import pytest
import xarray as xr
from twins import drawn_survey

from lab2 import cannon
from lab2.cannon import Flag, fit_labels
from lab2.labels import label_names
from lab2.validation import cross_validate, fields_or, split


def survey(n_stars, seed=91, fields=("M67", "N6791", "060+00"), names=None):
    """Stars with fields and labels, without spectra: all that a split looks at."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(n_stars, 5))
    labels[:, 2] = np.where(rng.random(n_stars) < 0.05, -0.9, rng.normal(-0.1, 0.2, n_stars))
    return xr.Dataset(
        {
            "labels": (("star", "label"), labels),
            "field": ("star", rng.choice(fields, n_stars, p=(0.6, 0.3, 0.1))),
        },
        coords={
            "star": [f"2M{k:05d}" for k in range(n_stars)] if names is None else names,
            "label": label_names(),
        },
    )


@pytest.fixture(scope="module")
def spectra():
    drawn = drawn_survey(np.random.default_rng(92), 90, 2, 40, errors=(0.004, 0.008))[0]
    return drawn.assign(field=("star", np.repeat(["a", "b", "c"], 30)))


# --- split --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_stars", "folds"), [(100, 2), (101, 2), (101, 3), (97, 10), (10, 10), (2, 2)])
def test_groups_are_of_equal_size(n_stars, folds):
    stars = survey(n_stars)
    group = split(stars, folds)
    assert group.dims == ("star",)
    assert group.star.values.tolist() == stars.star.values.tolist()
    counts = np.bincount(group, minlength=folds)
    assert len(counts) == folds
    assert counts.max() - counts.min() <= 1


def test_split_is_seeded():
    stars = survey(200)
    np.testing.assert_array_equal(split(stars, seed=5), split(stars, seed=5))
    # another seed agrees by chance only
    assert 0.3 < (split(stars, seed=5).values == split(stars, seed=6).values).mean() < 0.7
    assert split(stars, seed=5).attrs == {"seed": 5, "folds": 2}


def test_split_does_not_depend_on_the_order_of_the_stars():
    stars = survey(150)
    order = np.random.default_rng(93).permutation(150)
    np.testing.assert_array_equal(split(stars.isel(star=order)), split(stars)[order])


@pytest.mark.parametrize("seed", range(10))
def test_halves_look_alike(seed):
    stars = survey(400, seed=seed)
    half = split(stars, seed=seed).values
    iron = stars.labels.sel(label="fe_h").values
    for field in np.unique(stars.field):
        counts = np.bincount(half[stars.field.values == field], minlength=2)
        assert abs(counts[0] - counts[1]) <= 2
    # pairs of neighbors in [Fe/H]: the means differ far less than those of a plain random half (0.03)
    assert abs(iron[half == 0].mean() - iron[half == 1].mean()) < 0.015
    poor = np.bincount(half[iron < -0.85], minlength=2)
    assert abs(poor[0] - poor[1]) <= 3


@pytest.mark.parametrize("seed", range(5))
def test_no_star_stands_on_both_sides(seed):
    names = [f"2M{k % 60:05d}" for k in range(100)]
    group = split(survey(100, names=names), 2, seed=seed).values
    for name in set(names):
        assert len({g for g, n in zip(group, names, strict=True) if n == name}) == 1
    # equal numbers of stars, if not of rows
    one_row_each = group[:60]
    assert abs((one_row_each == 0).sum() - 30) <= 1


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_named_stars_land_in_the_training_half(folds):
    stars = survey(101)
    for seed in range(40):
        for name in ("2M00017", "2M00100"):
            group = split(stars, folds, seed=seed, training=[name])
            assert group.sel(star=name) == 0
            counts = np.bincount(group, minlength=folds)
            assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("folds", [2, 4])
def test_many_named_stars_land_in_the_training_half(folds):
    # any two of them may have been dealt out in the same round
    stars = survey(60)
    for seed in range(20):
        chosen = np.random.default_rng(seed).choice(stars.star.values, 12, replace=False)
        group = split(stars, folds, seed=seed, training=chosen)
        assert (group.sel(star=chosen) == 0).all()
        counts = np.bincount(group, minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_more_named_stars_than_a_group_holds():
    with pytest.raises(ValueError, match="31 training stars do not fit in a group of 30"):
        split(survey(60), training=survey(60).star.values[:31])


def test_named_star_changes_little_else():
    stars = survey(100)
    before, after = split(stars, seed=3), split(stars, seed=3, training=["2M00042"])
    assert (before.values != after.values).sum() in (0, 2)


def test_split_without_field_or_iron():
    stars = survey(50)
    for less in (stars.drop_vars("field"), stars.drop_vars(["labels", "label"]), stars.isel(label=[0, 1])):
        assert sorted(np.bincount(split(less))) == [25, 25]


def test_split_of_stars_without_iron():
    stars = survey(50)
    labels = stars.labels.values.copy()
    labels[::4, 2] = np.nan
    assert sorted(np.bincount(split(stars.assign(labels=stars.labels.copy(data=labels))))) == [25, 25]


@pytest.mark.parametrize("folds", [1, 0, -2, 11])
def test_impossible_number_of_groups(folds):
    with pytest.raises(ValueError, match=rf"cannot deal 10 stars into {folds} groups; folds must be 2 to 10"):
        split(survey(10), folds)


def test_unknown_training_star():
    with pytest.raises(ValueError, match=r"not among the spectra, .*: 2M0, 2M99999$"):
        split(survey(10), training=["2M99999", "2M00001", "2M0"])


# --- cross-validation ---------------------------------------------------------------------------------------


def test_every_star_is_fitted_without_itself(spectra):
    group = xr.DataArray(np.arange(90) % 3, dims="star")
    fits = cross_validate(spectra, group)
    assert fits.star.values.tolist() == spectra.star.values.tolist()
    np.testing.assert_array_equal(fits.fold, group)
    for fold in range(3):
        inside = group.values == fold
        model = cannon.train(spectra.isel(star=~inside))
        expected = fit_labels(model, spectra.isel(star=inside))
        np.testing.assert_allclose(fits.labels[inside], expected.labels, rtol=1e-9)
        np.testing.assert_allclose(fits.chi2[inside], expected.chi2, rtol=1e-9)


def test_a_spectrum_of_its_own_cannot_be_memorized(spectra):
    # One pixel of one star has a line that no other star has. Trained with it, that pixel's scatter grows and
    # hides the line; held out, the line stands out.
    odd = spectra.copy(deep=True)
    odd.ivar[4, 10] = 1 / 0.002**2
    odd.flux[4, 10] -= 0.6
    with_it = fit_labels(cannon.train(odd), odd)
    without = cross_validate(odd, 3)
    assert without.chi2[4] > 10 * with_it.chi2[4]
    assert without.flag[4].item() & Flag.POOR_FIT


def test_folds_by_number_and_by_field(spectra):
    by_number = cross_validate(spectra, 2, seed=4)
    np.testing.assert_array_equal(by_number.fold, split(spectra, 2, 4))
    by_field = cross_validate(spectra, "field")
    np.testing.assert_array_equal(by_field.fold, np.repeat([0, 1, 2], 30))
    pulls = (by_field.labels - spectra.labels) / np.sqrt(np.diagonal(by_field.covariance, axis1=1, axis2=2))
    assert np.abs(pulls).median() < 1.2


@pytest.mark.parametrize("folds", ["fields", ""])
def test_unknown_folds(spectra, folds):
    with pytest.raises(ValueError, match="folds must be a number, 'field'"):
        cross_validate(spectra, folds)


def test_folds_by_field_without_fields(spectra):
    with pytest.raises(ValueError, match="folds must be a number, 'field'"):
        cross_validate(spectra.drop_vars("field"), "field")


def test_folds_that_leave_nobody_to_train_on(spectra):
    one_field = spectra.assign(field=("star", ["a"] * 90))
    with pytest.raises(ValueError, match="only one group"):
        cross_validate(one_field, "field")


@pytest.mark.parametrize("folds", ["field", 2])
def test_a_star_with_two_rows_is_never_trained_on_where_it_is_left_out(spectra, folds, monkeypatch):
    # the last star of field a is also the first of field b
    names = [*spectra.star.values[:30], spectra.star.values[29], *spectra.star.values[31:]]
    twice = spectra.assign_coords(star=names)
    trained, train = [], cannon.train
    monkeypatch.setattr(cannon, "train", lambda some, **kwargs: trained.append(some) or train(some, **kwargs))
    fits = cross_validate(twice, folds)
    assert fits.sizes["star"] == 90
    for fold, used in zip(np.unique(fits.fold), trained, strict=True):
        assert not set(used.star.values) & set(fits.star.values[fits.fold == fold])


def test_some_stars_are_fitted_and_never_trained_on(spectra):
    group = xr.DataArray(np.arange(90) % 3, dims="star")
    allowed = np.arange(90) % 7 != 0
    fits = cross_validate(spectra, group, train_on=allowed)
    for fold in range(3):
        inside = group.values == fold
        expected = fit_labels(cannon.train(spectra.isel(star=~inside & allowed)), spectra.isel(star=inside))
        np.testing.assert_allclose(fits.labels[inside], expected.labels, rtol=1e-9)
    with pytest.raises(ValueError, match="train_on must say of each of 90 stars"):
        cross_validate(spectra, group, train_on=allowed[:5])
    with pytest.raises(ValueError, match="trains on all others"):
        cross_validate(spectra, "star", train_on=allowed)


def test_leaving_out_one_row_of_a_star_with_two_is_refused(spectra):
    names = [*spectra.star.values[:89], spectra.star.values[0]]
    with pytest.raises(ValueError, match="a star has more than one row"):
        cross_validate(spectra.assign_coords(star=names), "star")


def test_folds_of_other_stars(spectra):
    with pytest.raises(
        ValueError, match=r"folds must give the group of each of 90 stars; got a DataArray \(star: 89\)"
    ):
        cross_validate(spectra, xr.DataArray(np.arange(89) % 2, dims="star"))


def test_other_spectra_of_the_same_stars_are_fitted_and_not_trained_on(spectra):
    moved = spectra.assign(flux=spectra.flux + 0.01)
    folds = split(spectra, 2)
    found = cross_validate(spectra, folds, fit=moved)
    held_out = np.flatnonzero(folds.values == 1)
    model = cannon.train(spectra.isel(star=np.flatnonzero(folds.values == 0)))
    np.testing.assert_array_equal(found.labels[held_out], fit_labels(model, moved.isel(star=held_out)).labels)
    with pytest.raises(ValueError, match="are not of the same stars in the same order"):
        cross_validate(spectra, folds, fit=moved.isel(star=slice(None, None, -1)))
    with pytest.raises(ValueError, match="one star at a time"):
        cross_validate(spectra, "star", fit=moved)


def test_each_fold_learns_its_own_factors(spectra):
    folds = split(spectra, 2)
    found = cross_validate(spectra, folds, factors=2)
    held_out = np.flatnonzero(folds.values == 1)
    model = cannon.train(spectra.isel(star=np.flatnonzero(folds.values == 0)), factors=2)
    alone = fit_labels(model, spectra.isel(star=held_out))
    np.testing.assert_array_equal(found.labels[held_out], alone.labels)
    np.testing.assert_array_equal(found.factors[held_out], alone.factors)


# --- fields, or groups in their place -----------------------------------------------------------------------


def in_fields(*counts):
    """Stars in fields of so many stars, shuffled."""
    names = np.repeat([f"field {k}" for k in range(len(counts))], counts)
    stars = survey(len(names))
    return stars.assign(field=("star", np.random.default_rng(93).permutation(names)))


@pytest.mark.parametrize("counts", [(50, 50), (40, 30, 30), (20, 30, 28, 22), (60, 40)])
def test_fields_that_can_be_spared_are_the_groups(counts):
    stars = in_fields(*counts)
    groups = fields_or(split(stars, 2), stars)
    assert groups.name == "field"
    assert [set(stars.field.values[groups.values == k]) for k in range(len(counts))] == [
        {f"field {k}"} for k in range(len(counts))
    ]


@pytest.mark.parametrize("counts", [(100,), (61, 39), (90, 5, 5)])
def test_the_other_groups_take_the_place_of_fields_that_cannot_be_spared(counts):
    stars = in_fields(*counts)
    halves = split(stars, 2)
    assert fields_or(halves, stars) is halves
    assert fields_or(halves, stars.drop_vars("field")) is halves


def test_groups_of_other_stars_are_refused():
    with pytest.raises(ValueError, match="give the group of each star"):
        fields_or(split(survey(10), 2), survey(12))
