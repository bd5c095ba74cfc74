"""From notebooks to a report: run them, keep what they show, and set it as PDF."""

from lab2.report.page import Page

__all__ = ["Page"]
