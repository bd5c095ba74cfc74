"""Files of draws from a posterior: the parts of `lab2.posterior` that need neither PyMC nor a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from lab2._io import netcdf, schema
from lab2._io.schema import Rule
from lab2.files import replacing

if TYPE_CHECKING:
    from arviz import InferenceData

__all__ = ["load", "save"]

_KIND, _VERSION = "lab2 posterior", 1
_GROUPS = {
    "posterior": {"label": Rule(("label",), schema.UNIQUE), "labels": Rule(("chain", "draw", "label"))},
    "sample_stats": {"diverging": Rule(("chain", "draw"), schema.TRUTH)},
    "constant_data": {
        "label": Rule(("label",), schema.UNIQUE),
        "prior_mean": Rule(("label",)),
        "prior_sd": Rule(("label",), schema.POSITIVE),
        "prior_lower": Rule(("label",)),
        "prior_upper": Rule(("label",)),
        "best": Rule(("label",), schema.NOT_INFINITE),
        "best_sd": Rule(("label",), schema.NOT_INFINITE),
    },
}


def save(idata: InferenceData, path: str | os.PathLike) -> None:
    """Write draws to a sealed netCDF file, atomically; ``arviz.from_netcdf(path, engine="h5netcdf")`` reads it too.

    Parameters
    ----------
    idata : arviz.InferenceData
        As from `lab2.posterior.sample`.
    path : path-like

    Raises
    ------
    ValueError
        If the draws do not have the form of those of `lab2.posterior.sample`.
    """
    groups = {name: idata[name] for name in _GROUPS if name in idata.groups()}
    _check(groups)
    root = xr.Dataset(attrs={**idata.attrs, "format": _KIND, "format_version": _VERSION})
    with replacing(path) as part:
        netcdf.write(part, {"/": root, **groups})


def load(path: str | os.PathLike) -> InferenceData:
    """Read a file that `save` wrote, into memory.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    arviz.InferenceData

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or not such a file.
    """
    from arviz import InferenceData

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such {_KIND} file: {path}")
    groups = netcdf.read(path)
    attrs = groups.pop("/").attrs
    kind, version = (attrs.pop(name, None) for name in ("format", "format_version"))
    if (kind, version) != (_KIND, _VERSION):
        raise ValueError(f"{path} is not a {_KIND} of version {_VERSION}, but {kind!r}, {version!r}; sample again")
    try:
        _check(groups)
    except ValueError as problem:
        raise ValueError(f"{path} is damaged: {problem}; sample again") from problem
    about = groups["posterior"].labels.attrs
    about["units"] = np.atleast_1d(about["units"]).tolist()  # netCDF turns a list of one into its element
    return InferenceData(attrs=attrs, **groups)


def _check(groups):
    """Raise a ValueError if these are not the groups of such draws."""
    for name, rules in _GROUPS.items():
        if name not in groups:
            raise ValueError(f"draws need the groups {', '.join(_GROUPS)}; there is no {name}")
        try:
            schema.check(groups[name], rules)
        except ValueError as problem:
            raise ValueError(f"in the group {name}, {problem}") from problem
    draws, constants = groups["posterior"].labels, groups["constant_data"]
    if draws.label.values.tolist() != constants.label.values.tolist():
        raise ValueError("draws and priors do not have the same labels")
    if not (constants.prior_lower < constants.prior_upper).all():
        raise ValueError("a prior's lower bound is not below its upper one")
    if np.size(draws.attrs.get("units")) != draws.sizes["label"]:
        raise ValueError("the attribute 'units' of labels is not one unit for each label")
