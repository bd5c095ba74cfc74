"""The benchmark's results as Markdown."""

import numpy as np

__all__ = ["markdown"]


def _spread(values, digits=3):
    """Median and, in brackets, the range."""
    low, middle, high = (f"{v:.{digits}g}" for v in np.percentile(values, [0, 50, 100]))
    return f"{middle} ({low} to {high})"


def _code_rows(codes):
    for code in codes:
        ratios = [_spread(code[f"{step}_ratio"]) if f"{step}_ratio" in code else "" for step in ("train", "fit")]
        times = [_spread(code[step]) if step in code else "" for step in ("train", "fit")]
        scatter = ", ".join(f"{value:.3g}" for value in code.get("scatter", []))
        yield f"| {code['name']} | {times[0]} | {ratios[0]} | {times[1]} | {ratios[1]} | {scatter} |"


def markdown(results) -> str:
    """All results: tables and a few sentences."""
    machine, size, share, memory = (results[key] for key in ("machine", "size", "share", "memory"))
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    peak = results["peak_gflop_per_s"]
    curve_fit, grid = results["curve_fit"], results["grid"]
    lines = [
        "# Benchmark",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{machine['blas']}; Python {machine['python']}, {versions}. Load before: {results['load_before']:.2f}, "
        f"after: {results['load_after']:.2f}.",
        "",
        f"{size['train']} training and {size['test']} test stars, {size['pixels']} pixels, double precision. "
        f"{results['repeats']} rounds; in each, every code runs between two runs of lab2, and a ratio is its time over "
        "the mean of those two. Medians, and in brackets the least and the largest. Scatter: 1.48 times the median "
        "absolute difference from the true labels, Teff [K], log g, [Fe/H], [Mg/Fe], [Si/Fe] [dex].",
        "",
        "| | training [s] | times lab2 | labels [s] | times lab2 | scatter |",
        "| --- | --- | --- | --- | --- | --- |",
        *_code_rows(results["codes"]),
        "",
        "annieslasso optimizes another objective: it fits theta without a scatter, and finds s2 afterwards from the "
        "median chi2. Settings used, the fastest of those tried: "
        + "; ".join(f"{code['name']} {code['settings']}" for code in results["codes"] if "settings" in code)
        + ".",
        "",
        "## Matrix products",
        "",
        f"A large matrix product in double precision runs at {peak['1']:.0f} GFLOP/s on one core"
        + (f" and {peak[str(machine['cores'])]:.0f} on all {machine['cores']}." if machine["cores"] > 1 else "."),
        "",
        "| lab2 | time of all cores spent in matrix products | GFLOP/s, of all the time | of the peak |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {share[key]['share']:.0%} | {share[key]['gflop_per_s']:.0f} "
            f"| {share[key]['gflop_per_s'] / peak[str(machine['cores'])]:.0%} |"
            for name, key in (("training", "train"), ("labels", "fit"))
        ),
        "",
        "## Memory",
        "",
        "Peak resident memory, in units of the size of flux and ivar "
        f"({memory['train']['data_mib']:.0f} MiB): training {memory['train']['with_data']:.2f} with the data "
        f"themselves ({memory['train']['beyond_data']:.2f} beyond them), labels {memory['fit']['with_data']:.2f} "
        f"({memory['fit']['beyond_data']:.2f}), training with 10 hidden factors {memory['factors']['with_data']:.2f} "
        f"({memory['factors']['beyond_data']:.2f}).",
        "",
        "## Growth",
        "",
        *_scaling(results["scaling"]),
        "## Accuracy",
        "",
        f"Labels of {curve_fit['stars']} stars against the best of curve_fit's fits from 9 starts: largest difference "
        f"{curve_fit['max_sigma']:.1e} formal sigma, 99.5th percentile {curve_fit['percentile_99_5_sigma']:.1e}, "
        f"{curve_fit['share_within_1e-3']:.1%} of the stars within 1e-3; {curve_fit['worse_chi2']} stars at a worse "
        f"chi2 (largest excess {curve_fit['max_chi2_excess']:.1e}; {curve_fit['failed_starts']} of curve_fit's starts "
        "did not converge).",
        "",
        f"-2 ln L of {grid['pixels']} pixels against the best of a grid of 400 values of s2: at most "
        f"{grid['max_excess']:.1e} worse, at most {grid['max_gain']:.2g} better.",
    ]
    return "\n".join(lines) + "\n"


def _scaling(scaling):
    for name, title in (("stars", "stars"), ("pixels", "pixels")):
        series = scaling[name]
        yield f"| {title} ({series['fixed']}) | training [s] | labels [s] |"
        yield "| --- | --- | --- |"
        for row in zip(series["n"], series["train"], series["fit"], strict=True):
            yield f"| {row[0]} | {row[1]:.3g} | {row[2]:.3g} |"
        yield f"| slope | {series['train_slope']:.2f} | {series['fit_slope']:.2f} |"
        yield ""
