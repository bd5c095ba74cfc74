"""Data augmentation: noise and masks drawn anew each time that a training spectrum is used.

With only nine hundred spectra a network memorizes their noise, which it should ignore. So noise is added in proportion
to the star's error array, to a level between the star's own and a multiple of it, and the inverse variance is that of
the noisier spectrum. A random range of pixels is masked.
"""

import jax
import jax.numpy as jnp

__all__ = ["redrawn"]

_STEEP = 3  # power of a uniform number: half of the spectra get little noise, one in ten nearly the maximum
_LONGEST = 0.1  # largest fraction of the pixels that is masked


def redrawn(key, deviation, ivar, noise):
    """Spectra with noise added and a range of pixels masked.

    Parameters
    ----------
    key : jax.Array
    deviation, ivar : jax.Array, shape (n_stars, n_pixels)
        Flux minus the mean spectrum, 0 where ivar is 0; inverse variance.
    noise : float
        Each star's noise is multiplied by ``noise**(u**3)``, u uniform from 0 to 1.

    Returns
    -------
    deviation, ivar : jax.Array, shape (n_stars, n_pixels)
    """
    n_stars, n_pixels = deviation.shape
    for_level, for_noise, for_place, for_length = jax.random.split(key, 4)
    level = noise ** (jax.random.uniform(for_level, (n_stars, 1)) ** _STEEP)
    error = jnp.where(ivar > 0, 1.0 / jnp.sqrt(jnp.where(ivar > 0, ivar, 1.0)), 0.0)
    added = jnp.sqrt(level**2 - 1.0) * error * jax.random.normal(for_noise, deviation.shape)
    start = jax.random.uniform(for_place, (n_stars, 1))
    stop = start + _LONGEST * jax.random.uniform(for_length, (n_stars, 1))
    place = jnp.arange(n_pixels) / n_pixels
    kept = (place < start) | (place >= stop)
    return jnp.where(kept, deviation + added, 0.0), jnp.where(kept, ivar / level**2, 0.0)
