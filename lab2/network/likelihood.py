"""The loss: minus the logarithm of the likelihood of the catalog's labels, per star.

The network says for each star that its labels are normally distributed about a mean with a covariance S of its own
(Nix & Weigend 1994, Proc. IEEE ICNN 1, 55). The catalog's labels have errors e besides, which are known: so these
scatter with the covariance S + diag(e^2), and S is what the spectrum leaves open. A label that the catalog knows badly
counts little.
"""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from lab2.network.architectures import normal_of

__all__ = ["minus_log_likelihood"]


def minus_log_likelihood(outputs, labels, errors):
    """Minus ln L of one star, less the constant n/2 ln(2 pi).

    Parameters
    ----------
    outputs : jax.Array, shape (n_outputs,)
        Of one network.
    labels, errors : jax.Array, shape (n_labels,)
        The catalog's, scaled.

    Returns
    -------
    jax.Array
        A number.
    """
    mean, root = normal_of(outputs, len(labels))
    triangle = jnp.linalg.cholesky(root @ root.T + jnp.diag(errors**2))
    deviate = solve_triangular(triangle, labels - mean, lower=True)
    return 0.5 * (deviate @ deviate) + jnp.log(jnp.diagonal(triangle)).sum()
