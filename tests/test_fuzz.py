"""A few cases of every door; `.venv/bin/python tests/fuzz.py` does thousands."""

import os
import time

import pytest
from fuzz import TARGETS, door
from fuzzing import harness
from fuzzing.harness import Outcome


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_is_read_flagged_or_refused(name, tmp_path):
    results = harness.run(door(name), range(100), 1, tmp_path)
    assert [result for result in results if result.outcome in harness.FAULTS] == []
    assert len({result.outcome for result in results}) > 1  # the damage does something, and not always the same


class Faulty:
    """A door with every fault, one after the other."""

    def prepare(self, folder):
        harness.SECONDS = 0.1
        self.steps = iter((self.right, self.wrong, self.stray, self.slow, self.large, self.dying))

    def attempt(self, rng, folder):
        return next(self.steps)()

    def right(self):
        return Outcome.RIGHT, ""

    def wrong(self):
        return Outcome.SILENT, ""

    def stray(self):
        raise KeyError("SNR")

    def slow(self):
        time.sleep(0.2)
        return Outcome.RIGHT, ""

    def large(self):
        return Outcome.RIGHT, str(len(b"x" * (3 << 30)))

    def dying(self):
        os._exit(1)


def test_the_harness_sees_every_fault(tmp_path):
    results = harness.run(Faulty(), range(7), 1, tmp_path)
    assert [result.outcome for result in results] == [
        Outcome.RIGHT, Outcome.SILENT, Outcome.ESCAPED, Outcome.SLOW, Outcome.LARGE,
        Outcome.SLOW, Outcome.RIGHT,  # a new process goes on where the dead one stopped
    ]  # fmt: skip
    assert results[2].detail == "KeyError('SNR')"
    assert harness.tally(results)[Outcome.SLOW] == 2
