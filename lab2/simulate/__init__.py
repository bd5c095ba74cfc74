"""A simulated APOGEE survey with the files and columns of the real one.

`make_survey` writes it; `spectrum` computes the model spectrum of a star, and `giants` makes spectra without files.
The modules: ``population`` (labels of the stars in each field), ``chemistry`` (abundances that are not labels),
``stars`` (which stars are in the survey), ``pipeline`` (their catalog rows), ``synthesis`` and ``emulator`` (their
spectra), ``sky`` and ``instrument`` (the observation), ``oddities`` (peculiar stars), ``writing`` (the files) and
``reality`` (offsets of real stars).
"""

from lab2.simulate.ideal import giants
from lab2.simulate.reality import REAL_GIANTS, real_offsets
from lab2.simulate.synthesis import spectrum
from lab2.simulate.writing import make_survey

__all__ = ["REAL_GIANTS", "giants", "make_survey", "real_offsets", "spectrum"]
