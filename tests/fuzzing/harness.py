"""Runs the cases of a target in a process of its own, which has 10 s and 1 GB for each.

A target damages one clean input as a random generator decides, hands it to the product, and says what came of it. Right
within the errors, flagged, and refused in words are all allowed; whatever else leaves the target is a fault.
"""

import multiprocessing
import resource
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

__all__ = ["FAULTS", "Outcome", "Result", "Target", "attempt", "run", "tally"]

SECONDS, BYTES = 10.0, 1 << 30
# How long to wait for a process that does not answer: it may be busy in C code, which no signal interrupts.
_PATIENCE = 20.0


class Outcome(StrEnum):
    """What came of one case."""

    RIGHT = "right within the errors"
    FLAGGED = "flagged"
    REFUSED = "refused in words"
    SILENT = "wrong and silent"
    ESCAPED = "another exception"
    SLOW = "over 10 s, or dead"
    LARGE = "over 1 GB"


FAULTS = frozenset({Outcome.SILENT, Outcome.ESCAPED, Outcome.SLOW, Outcome.LARGE})


@dataclass(frozen=True)
class Result:
    """One case: its number, what came of it, and what was damaged or said."""

    case: int
    outcome: Outcome
    detail: str


class Target(Protocol):
    """One door of the product."""

    def prepare(self, folder: Path) -> None:
        """Make the clean input; called once in each process. What is in the folder already may be used again."""

    def attempt(self, rng: np.random.Generator, folder: Path) -> tuple[Outcome, str]:
        """Damage it, try it, and judge: RIGHT, FLAGGED, REFUSED or SILENT. Other exceptions are the harness's."""


def attempt(target, seed, case, folder):
    """One case in this process.

    Returns
    -------
    Result
    """
    start, before = time.monotonic(), _peak()
    try:
        outcome, detail = target.attempt(np.random.default_rng([seed, case]), folder)
    except MemoryError as problem:
        outcome, detail = Outcome.LARGE, repr(problem)
    except Exception as problem:
        outcome, detail = Outcome.ESCAPED, repr(problem)
    seconds, grown = time.monotonic() - start, _peak() - before
    if outcome not in FAULTS and seconds > SECONDS:
        outcome, detail = Outcome.SLOW, f"{seconds:.0f} s: {detail}"
    if outcome not in FAULTS and grown > BYTES:
        outcome, detail = Outcome.LARGE, f"{grown / BYTES:.1f} GB: {detail}"
    return Result(case, outcome, detail[:300])


def run(target, cases, seed, folder, progress=False):
    """Many cases.

    Parameters
    ----------
    target : Target
    cases : iterable of int
    seed : int
    folder : path-like
        For the clean input and the damaged ones.
    progress : bool

    Returns
    -------
    list of Result
    """
    results, worker, cases = [], None, list(cases)
    try:
        for case in tqdm(cases, desc=type(target).__name__, disable=not progress):
            worker = worker or _Worker(target, seed, Path(folder))
            result = worker.result_of(case)
            if result is None:
                worker.stop()
                worker, result = None, Result(case, Outcome.SLOW, f"no answer within {_PATIENCE:.0f} s, or died")
            results.append(result)
    finally:
        if worker is not None:
            worker.stop()
    return results


def tally(results):
    """Number of results by outcome, every outcome named."""
    counts = Counter(result.outcome for result in results)
    return {outcome: counts[outcome] for outcome in Outcome}


class _Worker:
    """A process that does one case after another."""

    def __init__(self, target, seed, folder):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, target, seed, folder), daemon=True)
        self._process.start()
        theirs.close()
        if self._pipe.recv() != "ready":  # EOFError where it could not prepare: its traceback is on stderr
            raise RuntimeError("the worker answered out of turn")

    def result_of(self, case):
        """The result, or None where none came."""
        self._pipe.send(case)
        try:
            return self._pipe.recv() if self._pipe.poll(_PATIENCE) else None
        except EOFError:
            return None

    def stop(self):
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe, target, seed, folder):
    """Prepare, then answer each number of a case with its result."""
    target.prepare(folder)
    # Beyond this an allocation fails at once, before the machine suffers.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * BYTES, resource.RLIM_INFINITY))
    pipe.send("ready")
    while True:
        pipe.send(attempt(target, seed, pipe.recv(), folder))


def _peak():
    """The largest resident size of this process so far [bytes]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
