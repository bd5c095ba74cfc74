"""Three kinds of network that turn a spectrum and its weights into a normal distribution of the labels.

The network's inputs, its *features*, are computed from the spectrum with a basis (`lab2.network.basis`) that is not
trained. Masked pixels have no weight in it.

- "projection": mean and logarithmic width of the scores in the basis.
- "perceptron" and "convolution": for every pixel the deviation from the mean spectrum and the pixel's weight. The
  deviation is multiplied by the weight S^2 / (S^2 + noise^2), with S^2 the variance of the training spectra in this
  pixel (Wiener filter): a masked pixel has weight 0 and deviation 0. Convolutions do not cross chips.
"""

from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Lens", "assemble", "features", "lens", "normal_of", "outputs", "posterior"]

_KERNEL, _STRIDE = 9, 4  # pixels; a line has a FWHM of about 3
_CHANNELS = (8, 16)
_WIDTHS = -7.0, 3.0  # limits of the logarithm of a label's error, in standard deviations of the training labels


class Lens(NamedTuple):
    """A basis as jax arrays, with the ``products`` of all pairs of basis spectra, which every step needs."""

    mean: jax.Array
    spectra: jax.Array
    s2: jax.Array
    products: jax.Array


def lens(basis) -> Lens:
    """The `Lens` of a `lab2.network.basis.Basis`."""
    mean, spectra, s2 = (jnp.asarray(array, dtype=jnp.float32) for array in basis)
    rows, columns = np.triu_indices(spectra.shape[1])
    return Lens(mean, spectra, s2, spectra[:, rows] * spectra[:, columns])


class Perceptron(eqx.Module):
    """A multilayer perceptron with a linear shortcut from the features to the outputs."""

    layers: list
    shortcut: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self, n_inputs, n_outputs, settings, key):
        sizes = [n_inputs, *settings.hidden, n_outputs]
        keys = jax.random.split(key, len(sizes))
        self.layers = [eqx.nn.Linear(*pair, key=k) for pair, k in zip(pairwise(sizes), keys[1:], strict=True)]
        self.shortcut = eqx.nn.Linear(n_inputs, n_outputs, key=keys[0])
        self.dropout = eqx.nn.Dropout(settings.dropout)

    def __call__(self, inputs, key=None):
        values = inputs = inputs.ravel()
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        for layer, k in zip(self.layers[:-1], keys[:-1], strict=True):
            # GELU: Hendrycks & Gimpel 2016, arXiv:1606.08415
            values = self.dropout(jax.nn.gelu(layer(values)), key=k, inference=k is None)
        return self.layers[-1](values) + self.shortcut(inputs)


class Convolution(eqx.Module):
    """Two convolutional layers, shared by the chips, followed by a perceptron."""

    filters: list
    head: Perceptron
    chips: tuple = eqx.field(static=True)

    def __init__(self, chips, n_outputs, settings, key):
        first, second, third = jax.random.split(key, 3)
        shape = {"kernel_size": _KERNEL, "stride": _STRIDE, "padding": _KERNEL // 2}
        self.filters = [
            eqx.nn.Conv1d(2, _CHANNELS[0], key=first, **shape),
            eqx.nn.Conv1d(_CHANNELS[0], _CHANNELS[1], key=second, **shape),
        ]
        self.chips = chips
        size = sum(self._filtered(jnp.zeros((2, stop - start))).size for start, stop in chips)
        self.head = Perceptron(size, n_outputs, settings, third)

    def __call__(self, inputs, key=None):
        found = [self._filtered(inputs[:, start:stop]).ravel() for start, stop in self.chips]
        return self.head(jnp.concatenate(found), key)

    def _filtered(self, values):
        for convolution in self.filters:
            values = jax.nn.gelu(convolution(values))
        return values


def features(kind, basis, deviation, ivar):
    """The inputs of a network.

    Parameters
    ----------
    kind : str
    basis : Lens
    deviation, ivar : jax.Array, shape (n_stars, n_pixels)
        Flux minus the mean spectrum, and inverse variance.

    Returns
    -------
    jax.Array
        (n_stars, 2, n_components) for a projection, (n_stars, 2, n_pixels) otherwise: values and their precision.
    """
    if kind == "projection":
        mean, covariance = posterior(basis, deviation, ivar)
        return jnp.stack([mean, 0.5 * jnp.log(jnp.diagonal(covariance, axis1=1, axis2=2))], axis=1)
    variance = (basis.spectra**2).sum(axis=1) + basis.s2
    weight = ivar * variance / (1.0 + ivar * variance)
    return jnp.stack([weight * deviation / jnp.sqrt(variance), weight], axis=1)


def posterior(basis, deviation, ivar):
    """Mean and covariance of the scores, as `lab2.network.basis.scores`, in jax."""
    n = basis.spectra.shape[1]
    rows, columns = np.triu_indices(n)
    weight = ivar / (1.0 + ivar * basis.s2)
    packed = weight @ basis.products
    precision = jnp.zeros((len(weight), n, n)).at[:, rows, columns].set(packed).at[:, columns, rows].set(packed)
    covariance = jnp.linalg.inv(precision + jnp.eye(n))
    return jnp.einsum("nkl,nl->nk", covariance, (weight * deviation) @ basis.spectra), covariance


def assemble(settings, n_components, chips, n_labels, keys):
    """Untrained networks, all of the same architecture, stacked along the first axis of every array.

    Parameters
    ----------
    settings : lab2.network.Settings
    n_components : int
    chips : tuple of (int, int)
        First and last pixel (exclusive) of every chip, counting used pixels.
    n_labels : int
    keys : jax.Array, shape (n_members,)

    Returns
    -------
    Perceptron or Convolution
    """
    n_outputs = n_labels + n_labels * (n_labels + 1) // 2
    if settings.kind == "convolution":
        return eqx.filter_vmap(lambda key: Convolution(chips, n_outputs, settings, key))(keys)
    n_inputs = 2 * (n_components if settings.kind == "projection" else chips[-1][1])
    return eqx.filter_vmap(lambda key: Perceptron(n_inputs, n_outputs, settings, key))(keys)


def outputs(networks, shown, keys=None):
    """Outputs of every member for every star, (n_members, n_stars, n_outputs).

    Parameters
    ----------
    networks : Perceptron or Convolution
        As from `assemble`.
    shown : jax.Array, shape (n_stars, ...)
        Features.
    keys : jax.Array, shape (n_members, n_stars), optional
        For the dropout; without keys there is no dropout.
    """
    if keys is None:
        return eqx.filter_vmap(lambda network: jax.vmap(network)(shown))(networks)
    return eqx.filter_vmap(lambda network, k: jax.vmap(network)(shown, k))(networks, keys)


def normal_of(outputs, n_labels):
    """The normal distribution given by one star's outputs.

    Parameters
    ----------
    outputs : jax.Array, shape (n_outputs,)
    n_labels : int

    Returns
    -------
    mean : jax.Array, shape (n_labels,)
        Of the scaled labels.
    root : jax.Array, shape (n_labels, n_labels)
        Lower triangle whose product with its transpose is the covariance.
    """
    triangle = jnp.zeros((n_labels, n_labels)).at[np.tril_indices(n_labels)].set(outputs[n_labels:])
    widths = jnp.exp(jnp.clip(jnp.diagonal(triangle), *_WIDTHS))
    return outputs[:n_labels], jnp.tril(triangle, -1) + jnp.diag(widths)
