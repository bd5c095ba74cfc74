"""Checked input and output: FITS files, users' arrays and tables, and the project's own files."""
