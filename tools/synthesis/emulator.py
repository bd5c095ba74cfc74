"""A small network that stands for the grid: labels and abundances in, principal components of the spectrum out.

Trained with equinox and optax; what is kept are plain arrays, which `lab2.simulate.emulator` evaluates with numpy. The
loss is the mean square of the flux itself: the components are orthonormal, so that it is the sum of theirs.
"""

import numpy as np
from tqdm.auto import tqdm

from lab2.continuum import ASPCAP_SLICES
from lab2.files import replacing
from lab2.grid import N_PIXELS
from lab2.simulate import emulator
from lab2.survey import root
from tools.synthesis.grid import ABUNDANCES, INPUTS, RANGE

__all__ = ["held_out", "report", "save", "save_examples", "train"]

EXAMPLES = root() / "tests" / "data" / "synthesis.npz"

_COMPONENTS, _HIDDEN = 100, 192
_EPOCHS, _BATCH, _RATE = 900, 256, 3e-3
_HELD_OUT = 0.1


def held_out(count):
    """Which of the grid's spectra the network does not see in training."""
    return np.arange(count) >= round(count * (1 - _HELD_OUT))


def train(labels, flux, seed=1):
    """Train the network.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n, 20)
        Columns as in `tools.synthesis.grid.INPUTS`.
    flux : numpy.ndarray, shape (n, 8575)
    seed : int

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays that `lab2.simulate.emulator` reads.
    """
    middle, half = emulator.scaling(labels)
    x = ((emulator.features(labels) - middle) / half).astype(np.float32)
    mean = flux.mean(axis=0)
    centered = flux - mean
    # the same directions as a singular value decomposition, from the smaller of the two products
    values, vectors = np.linalg.eigh(centered.T @ centered)
    components = vectors[:, np.argsort(values)[::-1][:_COMPONENTS]].T
    amplitudes = centered @ components.T
    scale = amplitudes[:, 0].std()
    network = _descended(x, (amplitudes / scale).astype(np.float32), seed)
    arrays = {"inputs": np.array(INPUTS), "middle": middle, "half": half, "mean": mean.astype(np.float32)}
    # half precision keeps four digits of a component, far below the network's own error
    arrays["components"] = (components * scale).astype(np.float16)
    for i, layer in enumerate(network.layers):
        arrays[f"weight_{i}"] = np.array(layer.weight).T
        arrays[f"bias_{i}"] = np.array(layer.bias)
    bounds = [RANGE["teff"], RANGE["logg"], RANGE["fe_h"], *ABUNDANCES.values()]
    arrays["lower"], arrays["upper"] = np.array([*bounds, (labels[:, -1].min(), labels[:, -1].max())]).T
    return arrays


def _descended(x, y, seed):
    """The network after its training."""
    import equinox as eqx
    import jax
    import optax

    first, for_order = jax.random.split(jax.random.key(seed))
    network = eqx.nn.MLP(x.shape[1], y.shape[1], _HIDDEN, depth=2, activation=jax.nn.silu, key=first)
    size = min(_BATCH, len(x))
    n_steps = len(x) // size
    rate = optax.cosine_onecycle_schedule(_EPOCHS * n_steps, _RATE)
    optimizer = optax.adamw(rate, weight_decay=1e-5)

    @eqx.filter_grad
    def loss(arrays, rest, x, y):
        return ((jax.vmap(eqx.combine(arrays, rest))(x) - y) ** 2).sum(axis=1).mean()

    @eqx.filter_jit
    def epoch(network, state, key, x, y):
        order = jax.random.permutation(key, len(x))[: n_steps * size].reshape(n_steps, size)
        arrays, rest = eqx.partition(network, eqx.is_array)

        def step(carry, rows):
            arrays, state = carry
            slopes = loss(arrays, rest, x[rows], y[rows])
            steps, state = optimizer.update(slopes, state, arrays)
            return (optax.apply_updates(arrays, steps), state), None

        (arrays, state), _ = jax.lax.scan(step, (arrays, state), order)
        return eqx.combine(arrays, rest), state

    state = optimizer.init(eqx.filter(network, eqx.is_array))
    for key in tqdm(jax.random.split(for_order, _EPOCHS), desc="training the emulator"):
        network, state = epoch(network, state, key, x, y)
    return network


def save(arrays, path=emulator.TABLE):
    """Write the arrays; the file appears whole or not at all."""
    with replacing(path) as part:
        np.savez_compressed(part, **arrays)


def save_examples(labels, flux, count=8):
    """Keep a few held-out spectra for the tests, in half precision."""
    chosen = np.linspace(0, len(labels) - 1, count).astype(int)
    with replacing(EXAMPLES) as part:
        np.savez_compressed(part, labels=labels[chosen], flux=flux[chosen].astype(np.float16))


def report(labels, flux):
    """Print how far the emulator is from spectra that it was not trained on, on the pixels that ASPCAP fits."""
    used = np.zeros(N_PIXELS, dtype=bool)
    used[np.r_[ASPCAP_SLICES]] = True
    error = (emulator.spectra(labels) - flux)[:, used]
    along = np.abs(labels[:, 0] - (4370 + 480 * (labels[:, 1] - 2) - 400 * labels[:, 2])) < 300
    print(f"{len(labels)} spectra held out: rms {error.std():.5f}, {error[along].std():.5f} along the giant branch")
    print(f"  median |error| {np.median(np.abs(error)):.5f}, 99th percentile {np.percentile(np.abs(error), 99):.4f}")
    print(f"  worst spectrum {error.std(axis=1).max():.4f}, worst pixel {error.std(axis=0).max():.4f}")
    for name, low, high in (("3500-3700 K", 3500, 3700), ("3700-4500 K", 3700, 4500), ("above", 4500, 6000)):
        here = (labels[:, 0] >= low) & (labels[:, 0] < high)
        print(f"  {name}: rms {error[here].std():.5f} of {here.sum()} spectra")
