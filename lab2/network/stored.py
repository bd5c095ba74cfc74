"""The trained ensemble: its predictions, its errors, and its file."""

import json
from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from lab2._io import schema
from lab2._io.schema import Rule
from lab2.cannon import Flag
from lab2.cannon.fitting import EDGE
from lab2.files import Kept
from lab2.network.architectures import assemble, features, lens, normal_of, outputs, posterior
from lab2.network.basis import Basis
from lab2.network.preparation import chips
from lab2.network.settings import Settings
from lab2.spectra import check, check_wavelengths, seen

__all__ = ["Network"]

_BLOCK = 256  # stars predicted at a time
_POOR_FIT = 2.0  # reduced chi^2, as for the Cannon


@dataclass(frozen=True, eq=False)
class Network(Kept):
    """A trained ensemble of networks.

    Attributes
    ----------
    dataset : xarray.Dataset
        ``used`` (wavelength), whether a pixel is an input; ``basis_mean``, ``basis_s2`` (input) and
        ``basis_spectra`` (input, component), as in `lab2.network.basis`; ``center`` (quantity, feature), subtracted
        from the features; ``label_mean``, ``label_scale`` (label); ``offset``, ``stretch``, ``widening`` (label), by
        which predictions and errors are corrected; ``score_mean`` (component) and ``score_precision`` (component,
        component_2), of the training stars, and ``edge``, the distance of the farthest one; ``history`` (epoch, part);
        ``weights_0``, ``weights_1``, ..., the networks' arrays, with the members along the first axis.
    """

    kind, version = "lab2 network", 3
    rules: ClassVar = {
        "wavelength": Rule(("wavelength",), schema.ASCENDING),
        "label": Rule(("label",), schema.UNIQUE),
        "used": Rule(("wavelength",), schema.TRUTH),
        "basis_mean": Rule(("input",)),
        "basis_spectra": Rule(("input", "component")),
        "basis_s2": Rule(("input",), schema.POSITIVE),
        "center": Rule(("quantity", "feature")),
        "label_mean": Rule(("label",)),
        "label_scale": Rule(("label",), schema.POSITIVE),
        "offset": Rule(("label",)),
        "stretch": Rule(("label",), schema.POSITIVE),
        "widening": Rule(("label",), schema.POSITIVE),
        "score_mean": Rule(("component",)),
        "score_precision": Rule(("component", "component_2")),
        "edge": Rule((), schema.POSITIVE),
        "history": Rule(("epoch", "part")),
    }

    def check_whole(self) -> None:
        """Raise a ValueError if the arrays do not fit the settings."""
        self._settings()
        n_members = self.dataset.attrs.get("n_members")
        if not isinstance(n_members, int | np.integer) or not 1 <= n_members <= 100:
            raise ValueError(f"its attribute 'n_members' must be a number of networks, not {n_members!r}")
        if self.dataset.used.values.sum() != self.dataset.sizes["input"]:
            raise ValueError(f"{self.dataset.sizes['input']} inputs are not the number of pixels used")
        expected = jax.tree.leaves(eqx.filter(self._skeleton(), _is_array))
        schema.check(self.dataset, {f"weights_{i}": Rule(axes(i, leaf)) for i, leaf in enumerate(expected)})
        for i, leaf in enumerate(expected):
            found = self.dataset[f"weights_{i}"].shape
            if found != leaf.shape:
                raise ValueError(f"weights_{i} must have the shape {leaf.shape}, not {found}")
        n_features = self.dataset.sizes["component" if self.settings.kind == "projection" else "input"]
        if self.dataset.center.shape != (2, n_features):
            raise ValueError(f"center must have the shape {(2, n_features)}, not {self.dataset.center.shape}")

    @property
    def settings(self) -> Settings:
        """The hyperparameters."""
        return self._settings()

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return [str(name) for name in self.dataset.label.values]

    @property
    def history(self) -> xr.DataArray:
        """Mean loss of a star (epoch, part), over the members: part "as shown", "training" and "validation".

        The coordinate ``step`` (epoch) counts the steps. The loss is that of `lab2.network.likelihood`.
        """
        return self.dataset.history

    @property
    def simulated(self) -> bool:
        """Whether the training spectra include simulated ones, according to their files."""
        return bool(self.dataset.attrs.get("simulated", False))

    def predict(self, spectra) -> xr.Dataset:
        """Labels of every star, with their covariance.

        Parameters
        ----------
        spectra : xarray.Dataset
            ``flux``, ``ivar`` (star, wavelength) on the wavelengths of the training spectra.

        Returns
        -------
        xarray.Dataset
            ``labels`` (star, label), in each label's unit, the mean of the members; ``covariance`` (star, label,
            label_2): the mean of the members' covariances plus the covariance of their means (law of total covariance:
            Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4); labels and errors are corrected by means of
            held-out stars (`lab2.network.training`); ``spread`` (star, label), the standard deviation of the members'
            means; ``n_pixels`` (star), the inputs with information; ``reduced_chi2`` (star), of the spectrum about the
            best combination of basis spectra; ``distance`` (star), of its scores from the mean of the training set, 1
            at its edge; ``flag`` (star), `lab2.cannon.Flag` bits: NO_DATA, where labels are NaN; OUTSIDE_TRAINING where
            the distance exceeds 1; POOR_FIT where the reduced chi^2 exceeds 2; UNCONSTRAINED where a label's error
            exceeds its standard deviation in the training set.

        Raises
        ------
        ValueError
            If the wavelengths are not the network's, or `lab2.spectra.check` rejects the spectra.
        """
        check_wavelengths(spectra, self.dataset.wavelength)
        blocks = [
            self._predicted(spectra[["flux", "ivar"]].isel(star=slice(start, start + _BLOCK)).load())
            for start in range(0, spectra.sizes["star"], _BLOCK)
        ] or [self._predicted(spectra[["flux", "ivar"]].load())]
        found = xr.concat(blocks, "star") if len(blocks) > 1 else blocks[0]
        return found.assign_coords(
            star=spectra.star.values.astype(str), label=self.labels, label_2=self.labels
        ).assign_attrs(flags=[f"{int(bit)}: {bit.name}" for bit in Flag])

    def sensitivity(self, spectra) -> xr.DataArray:
        """Derivative of the predicted labels with respect to the flux of each pixel, at the mean of some spectra.

        Parameters
        ----------
        spectra : xarray.Dataset
            As for `predict`; their mean flux, weighted by ivar, and their median ivar are taken.

        Returns
        -------
        xarray.DataArray
            (label, wavelength), in the label's unit per unit of normalized flux; 0 in pixels that are not used.
        """
        check_wavelengths(spectra, self.dataset.wavelength)
        used, d = self.dataset.used.values, self.dataset
        flux, ivar = (spectra[name].values[:, used].astype(float) for name in ("flux", "ivar"))
        mean = (np.where(ivar > 0, flux, 0.0) * ivar).sum(axis=0) / np.maximum(ivar.sum(axis=0), 1e-30)
        deviation = (mean - d.basis_mean.values).astype(np.float32)
        weight, center = np.median(ivar, axis=0).astype(np.float32), d.center.values.astype(np.float32)
        slopes = _slopes(self._networks(), self._basis(), center, self.settings.kind, deviation, weight)
        values = np.zeros((len(self.labels), len(used)))
        values[:, used] = (d.label_scale * d.stretch).values[:, None] * np.asarray(slopes, dtype=float)
        coords = {"label": self.labels, "wavelength": d.wavelength}
        return xr.DataArray(values, dims=("label", "wavelength"), coords=coords)

    def _predicted(self, block):
        check(block)
        used, d = self.dataset.used.values, self.dataset
        ivar = block.ivar.values[:, used].astype(np.float32)
        deviation = np.where(ivar > 0, block.flux.values[:, used] - d.basis_mean.values, 0.0).astype(np.float32)
        n_stars = len(ivar)
        rows = min(_BLOCK, 1 << max(n_stars - 1, 0).bit_length())  # few sizes, since jax compiles for each
        padding = ((0, rows - n_stars), (0, 0))
        padded = np.pad(deviation, padding), np.pad(ivar, padding)
        found = _evaluated(
            self._networks(), self._basis(), d.center.values.astype(np.float32), self.settings.kind, *padded
        )
        means, roots, scores, chi2 = (np.asarray(array, dtype=float) for array in found)
        means, roots, scores, chi2 = means[:, :n_stars], roots[:, :n_stars], scores[:n_stars], chi2[:n_stars]
        n_pixels = seen(block.ivar.values)[:, used].sum(axis=1)
        no_data = np.rint(n_pixels) == 0
        labels, covariance, spread = self._combined(means, roots)
        distance = self._distance(scores)
        reduced = chi2 / np.maximum(n_pixels - d.sizes["component"], 1.0)
        errors = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        flag = Flag.OUTSIDE_TRAINING * (distance > EDGE) + Flag.POOR_FIT * (reduced > _POOR_FIT)
        flag = flag + Flag.UNCONSTRAINED * (errors > d.label_scale.values).any(axis=1)
        result = xr.Dataset(
            {
                "labels": (("star", "label"), labels),
                "covariance": (("star", "label", "label_2"), covariance),
                "spread": (("star", "label"), spread),
                "n_pixels": ("star", np.rint(n_pixels).astype(int)),
                "reduced_chi2": ("star", reduced),
                "distance": ("star", distance),
                "flag": ("star", np.where(no_data, Flag.NO_DATA, flag)),
            }
        )
        known = xr.DataArray(~no_data, dims="star")
        for name in ("labels", "covariance", "spread", "reduced_chi2", "distance"):
            result[name] = result[name].where(known)
        return result

    def _combined(self, means, roots):
        """Labels, covariance and spread in the labels' units, from the scaled predictions of the members."""
        d = self.dataset
        scale = d.label_scale.values * d.stretch.values
        mean = means.mean(axis=0)
        between = np.einsum("msi,msj->sij", means - mean, means - mean) / len(means)
        covariance = np.einsum("msij,mskj->sik", roots, roots) / len(roots) + between
        wide = scale * d.widening.values
        return (
            d.label_mean.values + scale * (mean - d.offset.values),
            covariance * wide[:, None] * wide,
            scale * np.sqrt(np.diagonal(between, axis1=1, axis2=2)),
        )

    def _distance(self, scores):
        off = scores - self.dataset.score_mean.values
        square = np.einsum("sk,kl,sl->s", off, self.dataset.score_precision.values, off)
        return np.sqrt(square) / float(self.dataset.edge)

    def _settings(self):
        text = self.dataset.attrs.get("settings")
        try:
            values = json.loads(text)
            return Settings(**values | {"hidden": tuple(values["hidden"])})
        except (TypeError, ValueError, KeyError) as problem:
            raise ValueError(f"its attribute 'settings' must be those of a network, not {text!r}") from problem

    def _basis(self):
        return lens(Basis(*(self.dataset[f"basis_{name}"].values for name in Basis._fields)))

    def _skeleton(self):
        sizes, pixels = self.dataset.sizes, chips(self.dataset.used.values)
        keys = jax.random.split(jax.random.key(0), int(self.dataset.attrs["n_members"]))
        return eqx.filter_eval_shape(assemble, self.settings, sizes["component"], pixels, sizes["label"], keys)

    def _networks(self):
        skeleton = self._skeleton()
        arrays, rest = eqx.partition(skeleton, _is_array)
        leaves, tree = jax.tree.flatten(arrays)
        found = [jnp.asarray(self.dataset[f"weights_{i}"].values, dtype=leaf.dtype) for i, leaf in enumerate(leaves)]
        return eqx.combine(jax.tree.unflatten(tree, found), rest)


def axes(number, leaf):
    """Names of the dims of one array of weights: the members first."""
    return ("member", *(f"weights_{number}_{axis}" for axis in range(1, leaf.ndim)))


def _is_array(leaf):
    """Whether a leaf of a skeleton represents an array of weights."""
    return isinstance(leaf, jax.ShapeDtypeStruct)


@eqx.filter_jit
def _evaluated(networks, basis, center, kind, deviation, ivar):
    """Means and roots of the covariance by member, scores in the basis, and chi^2 about the best combination."""
    shown = features(kind, basis, deviation, ivar) - center
    found = outputs(networks, shown)
    means, roots = jax.vmap(jax.vmap(lambda one: normal_of(one, _count(found.shape[-1]))))(found)
    scores, _ = posterior(basis, deviation, ivar)
    weight = ivar / (1.0 + ivar * basis.s2)
    chi2 = (weight * (deviation - scores @ basis.spectra.T) ** 2).sum(axis=1)
    return means, roots, scores, chi2


@eqx.filter_jit
def _slopes(networks, basis, center, kind, deviation, ivar):
    """Derivative of the members' mean prediction with respect to the flux of each pixel, (n_labels, n_pixels)."""

    def answer(deviation):
        found = outputs(networks, features(kind, basis, deviation[None], ivar[None]) - center)
        return found.mean(axis=(0, 1))[: _count(found.shape[-1])]

    return jax.jacrev(answer)(deviation)


def _count(n_outputs):
    """Number of labels, n, whose distribution has n + n (n + 1) / 2 outputs."""
    return int((np.sqrt(9 + 8 * n_outputs) - 3) / 2)
