"""The network's training on whatever device jax finds: seconds, and whether a seed repeats itself.

    python -m benchmarks.network_device [STARS] [EPOCHS]

trains twice on made spectra (943 stars of 7600 pixels by default, 20 epochs), so that no survey is needed, and prints
the devices, the seconds of each training (the first compiles), those of a prediction, and whether both trainings gave
the same weights bit for bit.
"""

import sys
import time

import jax
import numpy as np

import lab2
from lab2 import network
from lab2.grid import WAVELENGTH

N_PIXELS = 7600


def made(n_stars, seed=1):
    """Spectra whose lines depend on five labels and ten further numbers, with noise of S/N 100."""
    rng = np.random.default_rng(seed)
    shapes = 0.01 * rng.normal(size=(15, N_PIXELS))
    x = rng.normal(size=(n_stars, 15))
    flux = 1.0 + x @ shapes + 0.3 * (x[:, :1] ** 2) * shapes[:1] + 0.01 * rng.normal(size=(n_stars, N_PIXELS))
    ivar = np.full(flux.shape, 1e4)
    return lab2.from_arrays(flux.astype("f4"), ivar.astype("f4"), WAVELENGTH[:N_PIXELS], labels=x[:, :5])


def main(n_stars=943, epochs=20):
    """Train twice and report."""
    spectra, settings = made(n_stars), network.Settings(epochs=epochs)
    print(f"jax {jax.__version__} on {', '.join(map(str, jax.devices()))}; {n_stars} stars, {epochs} epochs")
    trained = []
    for name in ("first training", "second training"):
        start = time.perf_counter()
        trained.append(network.train(spectra, settings))
        print(f"{name}: {time.perf_counter() - start:.1f} s, loss {float(trained[-1].history[-1, 2]):.3f}")
    start = time.perf_counter()
    labels = trained[0].predict(spectra).labels
    taken, rms = time.perf_counter() - start, (labels - spectra.labels).values.std(axis=0).round(3)
    print(f"prediction: {taken:.1f} s, rms of the five labels {rms}")
    names = [name for name in trained[0].dataset.data_vars if name.startswith("weights_")]
    same = all(np.array_equal(*(one.dataset[name].values for one in trained)) for name in names)
    print(f"same seed, same weights: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
