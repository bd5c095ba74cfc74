"""The loss: minus the log-likelihood of the catalog labels, per star.

For each star the network predicts a normal distribution of the labels, with a mean and a covariance S (Nix & Weigend
1994, Proc. IEEE ICNN 1, 55). The catalog labels also have known errors e, so they scatter about the mean with the
covariance S + diag(e^2). A label with a large catalog error has little weight.
"""

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from lab2.network.architectures import normal_of

__all__ = ["minus_log_likelihood"]


def minus_log_likelihood(outputs, labels, errors):
    """Minus ln L of one star, without the constant n/2 ln(2 pi).

    Parameters
    ----------
    outputs : jax.Array, shape (n_outputs,)
        Of one network.
    labels, errors : jax.Array, shape (n_labels,)
        Those of the catalog, scaled.

    Returns
    -------
    jax.Array
        A number.
    """
    mean, root = normal_of(outputs, len(labels))
    triangle = jnp.linalg.cholesky(root @ root.T + jnp.diag(errors**2))
    deviate = solve_triangular(triangle, labels - mean, lower=True)
    return 0.5 * (deviate @ deviate) + jnp.log(jnp.diagonal(triangle)).sum()
