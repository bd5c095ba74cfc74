"""From notebooks to a report: run them, keep what they show, and set it as PDF."""

from lab2._extras import require

require("lab", __name__)

from lab2.report.html import with_errors
from lab2.report.page import Page
from lab2.report.words import correlated, counted, escaped, graded, joined, listed, measured

__all__ = ["Page", "correlated", "counted", "escaped", "graded", "joined", "listed", "measured", "with_errors"]
