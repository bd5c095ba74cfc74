"""Whole surveys: labels in shards, on one machine or many (Dask), and spectra as a store (Zarr).

The modules, in order of use: ``plan`` (which spectra, which model, cut into shards), ``shards`` (one shard: whole or
not at all, and its record), ``cluster`` (many shards: workers, second tries, what failed), ``labels`` (the labels of a
shard), ``catalog`` (one table from all shards, counted), ``store`` (spectra read once, for many models) and ``run``.
"""

from lab2._extras import require

require("scale", __name__)

from lab2.scale.run import SHARD, label_survey
from lab2.scale.store import build_store, open_store

__all__ = ["SHARD", "build_store", "label_survey", "open_store"]
