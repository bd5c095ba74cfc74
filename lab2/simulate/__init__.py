"""A simulated APOGEE survey, file for file like the one that SDSS would give.

`make_survey` writes it; `spectrum` is the model of a star's spectrum behind it. The parts: ``population``
(who lives where), ``chemistry`` (what no label tells of them), ``stars`` (which of them are in the survey),
``catalog`` (what allStar says of them), ``spectra`` and ``emulator`` (their light), ``sky`` and ``instrument`` (what
the telescope makes of it), ``oddities`` (what goes wrong) and ``survey`` (the files).
"""

from lab2.simulate.synthesis import spectrum
from lab2.simulate.writing import make_survey

__all__ = ["make_survey", "spectrum"]
