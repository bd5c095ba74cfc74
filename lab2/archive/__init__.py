"""SDSS DR17 from its archives: the catalogue, the spectra, and the course's files.

The machine that wrote this could not reach the archives; the forms of its requests are checked against their
documentation, and its behaviour against a stand-in that fails in their ways (tests/archive_server.py).

References
----------
Abdurro'uf et al. 2022, ApJS 259, 35 (DR17); SDSS DR17, "Ways to Access APOGEE Data" and the data model of apStar.
"""

from lab2.archive.fetching import Plan, fetch, plan
from lab2.archive.table import FIELDS
from lab2.archive.web import ArchiveError

__all__ = ["FIELDS", "ArchiveError", "Plan", "fetch", "plan"]
