"""Whole surveys: labels in shards, on one machine or many (Dask), and spectra as a store (Zarr).

The modules, in order of use: ``plan`` (spectra and model, divided into shards), ``shards`` (one shard, written
atomically, and its record), ``cluster`` (many shards: workers, retries, failures), ``labels`` (the labels of a shard),
``catalog`` (one checked table from all shards), ``store`` (spectra read once, for many models) and ``run``.
"""

from lab2._extras import require

require("scale", __name__)

from lab2.scale.run import SHARD, label_survey
from lab2.scale.store import build_store, open_store

__all__ = ["SHARD", "build_store", "label_survey", "open_store"]
