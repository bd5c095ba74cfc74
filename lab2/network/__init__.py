"""Labels predicted directly from the spectrum by an ensemble of small neural networks (the lab's problem 15).

``basis`` (factor analysis of the training spectra), ``architectures`` (three kinds of network), ``augmentation`` and
``likelihood`` (the inputs and the loss), ``training``, ``checkpoint`` (resumes an interrupted training), and ``stored``
(the trained ensemble and its file).

jax, equinox and optax are loaded only for training and prediction.
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
