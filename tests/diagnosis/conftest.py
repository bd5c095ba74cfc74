"""A model of the spectra with lines."""

import numpy as np
import pytest
from stars_with_lines import clean, labels_of, observe

from lab2 import cannon


@pytest.fixture(scope="package")
def model():
    rng = np.random.default_rng(41)
    labels = labels_of(300, rng)
    return cannon.train(observe(clean(labels), labels, rng))
