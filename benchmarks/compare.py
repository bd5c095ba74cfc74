"""Time the codes in turn on the same data, each between two runs of lab2: A B A, A C A, A B A, ..."""

import time

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from benchmarks import peers

__all__ = ["compare", "seconds"]

MAKERS = {
    "factors": lambda train, test: peers.Lab2(train, test, 10),
    "annieslasso": peers.AnniesLasso,
    "TheCannon": peers.TheCannon,
    "loop": peers.Loop,
    "lm": lambda train, test: peers.CurveFit(train, test, "lm"),
    "trf": lambda train, test: peers.CurveFit(train, test, "trf"),
}


def seconds(function, blas=peers.CORES, **setting):
    """How long a call takes, and what it returns; `blas` threads in a matrix product."""
    with threadpool_limits(blas), peers.quiet():
        start = time.perf_counter()
        result = function(**setting)
        return time.perf_counter() - start, result


def compare(ours, train, test, trial_pixels, trial_stars, repeats) -> list[dict]:
    """Times of all codes and their ratios to lab2.

    Parameters
    ----------
    ours : benchmarks.peers.Lab2
        On the same data; it is left trained.
    train, test : benchmarks.data.Stars
    trial_pixels, trial_stars : int
        How large a part of the data the settings are tried on.
    repeats : int

    Returns
    -------
    list of dict
        Of each code, lab2 first: "name", "settings", "train" and "fit" [s] of each round, "train_ratio" and
        "fit_ratio" to the mean of lab2's runs before and after, "scatter" of its labels about the true ones.
    """
    codes = {name: _make(name, train, test) for name in MAKERS}
    results = {name: {"name": code.name, "settings": {}} for name, code in codes.items()}
    our_result = {"name": ours.name, "train": [], "fit": []}
    with tqdm(total=len(codes) * repeats, desc="comparing") as bar:
        for _ in range(repeats):
            for name, code in codes.items():
                for step in _steps(code):
                    before, _ = seconds(getattr(ours, step))
                    if not code.train_settings:
                        code.model = ours.model
                    settings = results[name]["settings"]
                    if step not in settings:
                        settings[step] = _fastest(name, code, step, train, test, trial_pixels, trial_stars)
                    taken, labels = seconds(getattr(code, step), **settings[step])
                    after, our_labels = seconds(getattr(ours, step))
                    results[name].setdefault(step, []).append(taken)
                    results[name].setdefault(f"{step}_ratio", []).append(taken / (0.5 * (before + after)))
                    our_result[step] += [before, after]
                    if step == "fit":
                        results[name]["scatter"] = _scatter(labels, test.labels)
                        our_result["scatter"] = _scatter(our_labels, test.labels)
                bar.update()
    return [our_result, *results.values()]


def _make(name, train, test):
    with peers.quiet():
        return MAKERS[name](train, test)


def _steps(code):
    return [step for step in ("train", "fit") if getattr(code, f"{step}_settings")]


def _fastest(name, code, step, train, test, trial_pixels, trial_stars):
    """The fastest of a code's settings: for training on some of the pixels, for labels on some of the stars."""
    if step == "train":
        some = np.linspace(0, train.flux.shape[1] - 1, trial_pixels).astype(int)
        trial = _make(name, train.pixels(some), test.pixels(some))
    else:
        trial = _make(name, train, test.stars(slice(0, trial_stars)))
        trial.model = code.model
    return min(getattr(code, f"{step}_settings"), key=lambda setting: seconds(getattr(trial, step), **setting)[0])


def _scatter(labels, truth):
    """1.48 times the median absolute difference, of each label."""
    return (1.4826 * np.nanmedian(np.abs(labels - truth), axis=0)).tolist()
