"""Labels straight from the spectrum, by an ensemble of small neural networks (the lab's problem 15).

``basis`` (what training spectra look like, in few numbers), ``architectures`` (a family of three networks),
``augmentation`` and ``likelihood`` (what they are shown, and what they are to make small), ``training``,
``checkpoint`` (a training that was interrupted goes on), and ``stored`` (the trained ensemble and its file).

jax, equinox and optax are loaded when something is trained or predicted, not before.
"""

import lazy_loader

from lab2._extras import require

require("network", __name__)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "search": ["tried"],
        "settings": ["KINDS", "Settings"],
        "stored": ["Network"],
        "training": ["train"],
    },
)
