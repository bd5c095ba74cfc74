"""Damage what comes in at every door, and count what comes of it: .venv/bin/python tests/fuzz.py --n 10000

    .venv/bin/python tests/fuzz.py --target apstar --n 10000     one door only
    .venv/bin/python tests/fuzz.py --target apstar --case 17     one case in this process, its traceback shown

Each case depends on --seed and its number alone, so that a fault can be repeated. Exits with 1 where there are faults.
"""

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
from fuzzing import harness

# Doors, each a module of tests/fuzzing with a class Door.
TARGETS = ("apstar", "arrays", "catalog", "continuum_list", "models", "words")


def door(name):
    """The target of a name."""
    return import_module(f"fuzzing.{name}").Door()


def main():
    """Run, print the tables of outcomes and the faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="cases of each door")
    parser.add_argument("--target", action="append", choices=TARGETS, help="a door (default: all)")
    parser.add_argument("--seed", type=int, default=128)
    parser.add_argument("--case", type=int, help="only this one, in this process")
    chosen = parser.parse_args()
    faults = 0
    for name in chosen.target or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            if chosen.case is not None:
                target = door(name)
                target.prepare(Path(folder))
                print(name, *target.attempt(np.random.default_rng([chosen.seed, chosen.case]), Path(folder)))
                continue
            results = harness.run(door(name), range(chosen.n), chosen.seed, folder, progress=True)
        print(f"{name}: " + "; ".join(f"{outcome} {count}" for outcome, count in harness.tally(results).items()))
        for result in results:
            if result.outcome in harness.FAULTS:
                faults += 1
                print(f"  case {result.case}: {result.outcome}: {result.detail}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
