"""A small LTE synthesizer of red giants in the H band: what the simulated survey's spectra come from.

It runs when the tables are remade (``.venv/bin/python -m tools.synthesis``), never in the lab. One straight flow:

    inputs      model atmospheres, line lists, real spectra, from PyPI and public files
    atmosphere  temperature, pressure and mass against depth, between the MARCS models
    chemistry   ionization and molecules: who absorbs, and how many
    opacity     the continuum
    hydrogen    Stark profiles of the Brackett lines
    lines       the line list and each line's strength, width and damping
    kernels     Voigt profiles, the formal solution, and its derivative, compiled
    spectrum    these together: a normalized spectrum, and its derivative by each log gf
    stars       a real spectrum, normalized, and the model fitted to it
    anchors     the real spectra that the lines are calibrated on
    calibrate   log gf corrected on real spectra (anchors)
    grid        thousands of spectra
    emulator    a small network that stands for the grid: lab2/tables/emulator.npz
    compare     how well all that does on a star that it never saw
"""
