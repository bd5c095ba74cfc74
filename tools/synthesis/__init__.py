"""A small LTE synthesizer of red giants in the H band: what the simulated survey's spectra come from.

It runs when the project's tables are remade (``python -m tools.synthesis``), never in the lab. One straight flow:

    inputs      model atmospheres, line lists, real spectra, all from PyPI
    atmosphere  temperature, pressure and mass against depth, between the MARCS models
    chemistry   ionization and molecules: who absorbs, and how many
    opacity     the continuum
    lines       the line list and each line's strength, width and damping
    kernels     Voigt profiles, the formal solution, and its derivative, compiled
    spectrum    these together: a normalized spectrum, and its derivative by each log gf
    stars       real spectra, normalized, and the model brought to them
    calibrate   log gf corrected on three real stars
    grid        thousands of spectra
    emulator    a small network that stands for the grid: lab2/tables/emulator.npz
    compare     how well all that does on a star that it never saw
"""
