"""Data of SDSS DR17 from its archives: the catalog, the spectra, and the course's files.

It was written without access to the archives: the requests follow their documentation, and error handling was tested
with a mock server that simulates their failures (tests/archive_server.py). `lab2 fetch --probe` tests each assumption
against the archives themselves (`lab2.archive.probe`).

References
----------
Abdurro'uf et al. 2022, ApJS 259, 35 (DR17); SDSS DR17, "Ways to Access APOGEE Data" and the data model of apStar.
"""

from lab2._extras import require

require("archive", __name__)

from lab2.archive.fetching import Plan, fetch, plan
from lab2.archive.table import FIELDS
from lab2.archive.web import ArchiveError

__all__ = ["FIELDS", "ArchiveError", "Plan", "fetch", "plan"]
