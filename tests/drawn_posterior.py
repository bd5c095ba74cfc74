"""Draws from a known posterior, as `lab2.posterior.sample` returns them but without sampling."""

import numpy as np
import xarray as xr

from lab2.posterior import az

__all__ = ["LABELS", "drawn_posterior"]

LABELS = ["teff", "fe_h"]


def drawn_posterior(labels=LABELS):
    """Draws of independent normal distributions: 2 chains of 50."""
    n = len(labels)
    draws = np.random.default_rng(5).normal(size=(2, 50, n))
    coords = {"chain": [0, 1], "draw": np.arange(50)}
    about = {"units": ["K", "dex"][-n:]}
    constants = {name: ("label", np.full(n, value)) for name, value in {"mean": 0.1, "sd": 3.0}.items()}
    bounds = {"lower": ("label", np.full(n, -9.0)), "upper": ("label", np.full(n, 9.0))}
    return az.InferenceData(
        attrs={"star": "2M1", "seed": 5, "chi2": 400.5, "nuisance": 0},
        posterior=xr.Dataset(
            {"labels": (("chain", "draw", "label"), draws, about)}, coords={**coords, "label": list(labels)}
        ),
        sample_stats=xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 50), dtype=bool))}, coords=coords),
        constant_data=xr.Dataset(
            {f"prior_{name}": value for name, value in (constants | bounds).items()}
            | {"best": ("label", np.zeros(n)), "best_sd": ("label", np.ones(n))},
            coords={"label": list(labels)},
        ),
    )
