import os
import signal

import numpy as np
import pytest

from lab2._failure import Failure
from lab2.labelling import label_block, label_files, label_stream, stream


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 4)
    monkeypatch.setattr(stream, "_LEAST", 1)


def same(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        a, b = np.asarray(one[name]), np.asarray(other[name])
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name


def test_two_processes_give_the_same_bits_as_one(mixed, trained, small_blocks):
    one = label_files(mixed, trained.model, trained.calibration)
    same(one, label_files(mixed, trained.model, trained.calibration, workers=2))
    assert list(one["file"]) == [str(path) for path in mixed]
    assert str(one["teff"].unit) == "K"


def test_blocks_are_whole_and_in_order(mixed, trained, small_blocks):
    tables = list(label_stream(mixed, trained.model))
    assert [len(table) for table in tables] == [4, 4, 3]
    same(tables[1], label_block(mixed[4:8], trained.model))


@pytest.mark.parametrize(("given", "message"), [(([], 1), "no spectrum files"), ((["x"], 0), "1 or more; got 0")])
def test_what_is_wrong_is_said_at_once(trained, given, message):
    paths, workers = given
    with pytest.raises(ValueError, match=message):
        next(label_stream(paths, trained.model, workers=workers))


def test_a_model_of_other_pixels_is_refused(trained):
    few = type(trained.model)(trained.model.dataset.isel(wavelength=slice(0, 500)))
    with pytest.raises(ValueError, match=r"8575 pixels .* other pixels than those of apStar files"):
        next(label_stream(["x"], few))


def _die(paths):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_is_a_failure_and_not_a_gap(mixed, trained, small_blocks, monkeypatch):
    monkeypatch.setattr(stream, "_work", _die)
    with pytest.raises(Failure, match="a worker process was killed"):
        list(label_stream(mixed, trained.model, workers=2))
