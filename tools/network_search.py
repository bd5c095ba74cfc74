"""The search for a network's architecture and training (Settings of lab2.network), by successive halving.

    python -m tools.network_search

reads build/simulated/03_spectra.nc and what notebooks 04 and 05 made, and writes lab2/tables/network_search.ecsv. It
trains on the training half of the stars alone: a fifth of it, the stars on which a single network is stopped, is the
judge. The half that notebook 09 tests on takes no part.

Each round trains every candidate afresh, three times longer than the round before, and keeps the better third
(Jamieson & Talwalkar 2016, AISTATS; the budgets and shares are theirs with eta = 3).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import QTable

from lab2.catalog import label_errors
from lab2.files import read_table, write_table
from lab2.network import Settings, train
from lab2.report import products
from lab2.survey import build_folder

__all__ = ["CANDIDATES", "halved", "training_half"]

_FIRST = Settings(rate=3e-3)  # where the search began
CANDIDATES = (
    replace(_FIRST, components=16),
    replace(_FIRST, components=32),
    replace(_FIRST, components=48),
    replace(_FIRST, hidden=(128, 128)),
    replace(_FIRST, hidden=(256,)),
    replace(_FIRST, dropout=0.0),
    replace(_FIRST, rate=1e-2),
    replace(_FIRST, noise=3.0),
    replace(_FIRST, kind="perceptron", rate=1e-3),
    replace(_FIRST, kind="convolution", rate=1e-3),
)
ROUNDS = (10, 30)  # epochs
SHARE = 3


def training_half(survey="simulated"):
    """Spectra of the training half, with label errors, without the stars that notebook 05 found odd."""
    folder = build_folder(survey)
    spectra, fold, fits = (products.load(folder / name) for name in ("03_spectra.nc", "04_split.nc", "05_fits.nc"))
    giants = read_table(folder / "01_giants.ecsv")
    spectra = spectra.assign(label_errors=label_errors(giants))
    return spectra.isel(star=np.flatnonzero((fold.fold.values == 0) & (fits.kind.values == "")))


def halved(spectra, candidates=CANDIDATES, rounds=ROUNDS, share=SHARE):
    """A table of what was tried: settings, epochs, and the loss of the stars left out.

    Parameters
    ----------
    spectra : xarray.Dataset
        As for `lab2.network.train`.
    candidates : sequence of lab2.network.Settings
    rounds : sequence of int
        Epochs of each round.
    share : int
        One in so many is kept after a round, rounded up.

    Returns
    -------
    astropy.table.QTable
        A row per training; the last row with the most epochs and the least loss is the best.
    """
    rows = []
    for number, epochs in enumerate(rounds, start=1):
        losses = [_loss(spectra, one, epochs) for one in candidates]
        for one, loss in zip(candidates, losses, strict=True):
            components = one.components if one.kind == "projection" else 0
            hidden = " ".join(map(str, one.hidden))
            chosen = (one.kind, components, hidden, one.dropout, one.rate, one.decay, one.noise)
            rows.append((number, *chosen, epochs, loss))
        best = np.argsort(losses)[: -(-len(candidates) // share)]
        candidates = [candidates[k] for k in best]
    names = ("round", "kind", "components", "hidden", "dropout", "rate", "decay", "noise", "epochs", "loss")
    return QTable(rows=rows, names=names)


def _loss(spectra, settings, epochs):
    """The least loss of the stars left out."""
    history = train(spectra, replace(settings, epochs=epochs), members=1).history
    loss = float(history.sel(part="validation").min())
    print(f"{settings}, {epochs} epochs: loss {loss:.2f}", flush=True)
    return loss


def main():
    """Search, and write the table."""
    table = halved(training_half())
    table.meta["source"] = "tools/network_search.py on the training half of the simulated survey"
    table.meta["loss"] = "minus ln L per star of the fifth of the training half that the network was stopped on"
    write_table(Path(__file__).parents[1] / "lab2" / "tables" / "network_search.ecsv", table)


if __name__ == "__main__":
    main()
