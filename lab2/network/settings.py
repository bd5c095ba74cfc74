"""Hyperparameters of a network."""

from dataclasses import dataclass

__all__ = ["KINDS", "Settings"]

KINDS = ("projection", "perceptron", "convolution")


@dataclass(frozen=True)
class Settings:
    """Architecture and training of a network. The defaults are those of a recorded search (tools/network_search.py).

    Attributes
    ----------
    kind : str
        "projection", a multilayer perceptron on the spectrum's scores in a basis; "perceptron", one on all pixels;
        "convolution", a convolutional network on all pixels (`lab2.network.architectures`).
    components : int
        Number of basis spectra; at most a quarter of the number of training stars is used.
    hidden : tuple of int
        Sizes of the hidden layers.
    dropout : float
        Fraction of the hidden units that is dropped at each step.
    rate, decay : float
        Maximum learning rate, and weight decay (AdamW: Loshchilov & Hutter 2019, arXiv:1711.05101).
    noise : float
        Largest factor by which the noise of a training spectrum is increased.
    epochs : int
        Number of passes over the training set.
    batch : int
        Stars per step.
    """

    kind: str = "projection"
    components: int = 32
    hidden: tuple[int, ...] = (64, 64)
    dropout: float = 0.1
    rate: float = 1e-2
    decay: float = 0.1
    noise: float = 10.0
    epochs: int = 60
    batch: int = 64

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        limits = {
            "components": (self.components >= 1, "1 or more"),
            "hidden": (all(size >= 1 for size in self.hidden), "sizes of 1 or more"),
            "dropout": (0 <= self.dropout < 1, "from 0 to less than 1"),
            "rate": (self.rate > 0, "more than 0"),
            "decay": (self.decay >= 0, "0 or more"),
            "noise": (self.noise >= 1, "1 or more"),
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch": (self.batch >= 1, "1 or more"),
        }
        for name, (good, words) in limits.items():
            if not good:
                raise ValueError(f"{name} must be {words}; got {getattr(self, name)!r}")
