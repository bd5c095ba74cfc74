"""Stochastic gradient descent of all members at once, an epoch at a time."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from lab2.network.architectures import assemble, features, lens, outputs
from lab2.network.augmentation import redrawn
from lab2.network.checkpoint import State
from lab2.network.likelihood import minus_log_likelihood
from lab2.network.preparation import chips

__all__ = ["Descent"]

_WARM_UP = 0.05  # fraction of the steps in which the learning rate rises; then it falls as a cosine
_LARGEST_GRADIENT = 1.0  # norm at which the gradient is clipped, per member
_losses = jax.vmap(jax.vmap(minus_log_likelihood), in_axes=(0, None, None))


class Descent:
    """The training of an ensemble on prepared spectra.

    Parameters
    ----------
    settings : lab2.network.Settings
    basis : lab2.network.basis.Basis
    ready : lab2.network.preparation.Prepared
    mine : numpy.ndarray of bool, shape (n_members, n_stars)
        Which stars each member is trained on; the others are its validation set.
    seed : int
    """

    def __init__(self, settings, basis, ready, mine, seed):
        self.settings = settings
        self._key = jax.random.key(seed)
        self._basis = lens(basis)
        ivar = jnp.asarray(ready.ivar)
        self._data = {
            "deviation": jnp.where(ivar > 0, ready.flux - self._basis.mean, 0.0),
            "ivar": ivar,
            "labels": jnp.asarray(ready.labels),
            "errors": jnp.asarray(ready.errors),
            "mine": jnp.asarray(mine, dtype=jnp.float32),
        }
        shown = jax.jit(features, static_argnums=0)(settings.kind, self._basis, self._data["deviation"], ivar)
        self.center = shown.mean(axis=0)
        self._data["shown"] = shown - self.center
        keys = jax.random.split(jax.random.fold_in(self._key, settings.epochs), len(mine))
        networks = assemble(settings, basis.spectra.shape[1], chips(ready.used), ready.labels.shape[1], keys)
        self._first, self._rest = eqx.partition(networks, eqx.is_array)
        n_stars = len(ready.flux)
        self._batch = min(settings.batch, n_stars)
        self.steps_per_epoch = n_stars // self._batch
        n_steps = settings.epochs * self.steps_per_epoch
        rate = optax.warmup_cosine_decay_schedule(0.0, settings.rate, int(_WARM_UP * n_steps), n_steps)
        self._optimizer = optax.chain(
            optax.clip_by_global_norm(_LARGEST_GRADIENT * len(mine)), optax.adamw(rate, weight_decay=settings.decay)
        )
        self._pass = jax.jit(self._one_epoch)

    def start(self) -> State:
        """The state before the first epoch."""
        n_members = len(self._data["mine"])
        history = np.empty((0, 3))
        return State(self._first, self._first, self._optimizer.init(self._first), np.full(n_members, np.inf), history)

    def epoch(self, state) -> State:
        """The state one epoch later.

        ``history`` gets a row: the mean loss of the training spectra with noise, masks and dropout; that of the same
        stars without; and that of the validation stars.
        """
        key = jax.random.fold_in(self._key, len(state.history))
        weights, optimizer, *losses = self._pass(key, state.weights, state.optimizer, self._basis, self._data)
        shown, training, validation = (np.asarray(loss, dtype=float) for loss in losses)
        better = validation < state.lowest
        best = jax.tree.map(
            lambda new, old: jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old), weights, state.best
        )
        row = [shown.mean(), training.mean(), validation.mean()]
        return State(weights, best, optimizer, np.minimum(validation, state.lowest), np.vstack([state.history, row]))

    def predictions(self, state):
        """Outputs of each member's best weights for the training stars, (n_members, n_stars, n_outputs)."""
        return outputs(self.networks(state), self._data["shown"])

    def networks(self, state):
        """The members with their best weights."""
        return eqx.combine(state.best, self._rest)

    def _one_epoch(self, key, weights, optimizer, basis, data):
        for_order, for_steps = jax.random.split(key)
        n_steps, size = self.steps_per_epoch, self._batch
        order = jax.random.permutation(for_order, len(data["labels"]))[: n_steps * size].reshape(n_steps, size)
        step = partial(self._step, basis, data)
        keys = jax.random.split(for_steps, n_steps)
        (weights, optimizer), shown = jax.lax.scan(step, (weights, optimizer), (order, keys))
        found = outputs(eqx.combine(weights, self._rest), data["shown"])
        losses, mine = _losses(found, data["labels"], data["errors"]), data["mine"]
        training = (losses * mine).sum(axis=1) / mine.sum(axis=1)
        validation = (losses * (1 - mine)).sum(axis=1) / (1 - mine).sum(axis=1)
        return weights, optimizer, shown.mean(axis=0), training, validation

    def _step(self, basis, data, carry, drawn):
        weights, optimizer = carry
        stars, key = drawn
        for_spectra, for_dropout = jax.random.split(key)
        spectra = redrawn(for_spectra, data["deviation"][stars], data["ivar"][stars], self.settings.noise)
        shown = features(self.settings.kind, basis, *spectra) - self.center
        mine = data["mine"][:, stars]
        keys = jax.random.split(for_dropout, mine.shape)

        def loss(weights):
            found = outputs(eqx.combine(weights, self._rest), shown, keys)
            each = _losses(found, data["labels"][stars], data["errors"][stars])
            each = (mine * each).sum(axis=1) / jnp.maximum(mine.sum(axis=1), 1.0)
            return each.sum(), each

        slopes, shown_loss = jax.grad(loss, has_aux=True)(weights)
        steps, optimizer = self._optimizer.update(slopes, optimizer, weights)
        return (optax.apply_updates(weights, steps), optimizer), shown_loss
