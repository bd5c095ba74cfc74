"""What the handout asks, and the heading under which the report answers it."""

from lab2.report.references import anchor
from lab2.report.run import find

__all__ = ["QUESTIONS", "questions"]

# Problem, question, number of the notebook, heading in it.
QUESTIONS = (
    ("1", "query the catalog; cuts; how many stars are left", "01", "Problem 1: the cuts"),
    (
        "1",
        "log g of dwarfs and giants; a solar-mass star in three stages",
        "01",
        "Problem 1: log g of dwarfs and giants",
    ),
    ("1", "corner plot of the labels (checkpoint 1 a)", "01", "Problem 1: the corner plot"),
    ("2", "apStar files; wavelengths; an example spectrum", "02", "Problem 2: apStar files"),
    ("2", "what the units mean", "02", "The units"),
    ("2", "barycentric frame; why the shift differs between visits", "02", "The barycentric frame"),
    ("3", "bitmasks and bad pixels", "02", "Problem 3: bad pixels"),
    ("4", "pseudo-continuum and true continuum", "03", "Problem 4: what pseudo-continuum normalization means"),
    ("4", "spectrum, continuum and normalized spectrum (checkpoint 1 b)", "03", "Problem 4: the example star"),
    ("4", "is the normalization robust?", "03", "Problem 4: does it work?"),
    ("5", "training set and cross-validation set", "04", "Problem 5: two halves"),
    ("6 (a)", "the matrix X and the number of parameters", "04", "Problem 6 (a): a linear equation for each pixel"),
    ("6 (b)", "the scatter and the likelihood", "04", "Problem 6 (b): the intrinsic scatter"),
    ("6 (c)", "all pixels; number of free parameters", "04", "Problem 6 (c): all pixels"),
    ("6 (d)", "a function that predicts a spectrum", "04", "Problem 6 (d): predict the spectrum of any star"),
    ("7", "data and prediction for one star (checkpoint 2 a)", "04", "Problem 7: predict a star from its labels"),
    ("8", "gradient spectra; lines of Mg and Si", "04", "Problem 8: gradient spectra"),
    ("8", "does large scatter coincide with lines?", "04", "Problem 8: the intrinsic scatter"),
    ("9", "fitting with a nonlinear optimizer", "05", "Problem 9: fitting labels"),
    (
        "9",
        "fitted against catalog labels; bias and scatter (checkpoint 2 b)",
        "05",
        "Problem 9: fitted labels against the catalog",
    ),
    ("9", "not happy: back to problem 6", "05", "Problem 9, back to problem 6: hidden factors"),
    ("10", "outliers: what has gone wrong", "05", "Problem 10: the outliers"),
    ("10", "local minima, continuum, flags", "05", "The questions of problem 10, one by one"),
    ("10", "can the model be improved?", "05", "Can the model be improved? Training without the odd stars"),
    ("11", "Kiel diagram (checkpoint 3 a)", "06", "Problem 11: the validation set in Teff and log g"),
    ("11", "known features, trends with [Fe/H]", "06", "Problem 11: features, and the trend with [Fe/H]"),
    ("11", "comparison with MIST isochrones", "06", "Problem 11: do the isochrones agree?"),
    ("12", "priors; MCMC with PyMC", "07", "Problem 12: priors and likelihood"),
    ("12", "corner plot of the posterior (checkpoint 3 b)", "07", "Problem 12: the posterior of the mystery star"),
    ("12", "are the formal uncertainties reasonable?", "07", "Problem 12: can we believe these errors?"),
    ("13", "the spectrum at different [Fe/H]", "08", "Problem 13: the spectrum and metallicity"),
    ("14", "the spectrum on the giant branch", "08", "Problem 14: the spectrum on the giant branch"),
    ("14", "a cool star or a warmer, more metal-rich one?", "08", "Composition and evolution compared"),
    ("15", "a network; architectures and hyperparameters", "09", "Problem 15: architectures tried"),
    ("15", "training and validation loss", "09", "Problem 15: loss curves"),
    ("15", "bias and median error beside those of problem 9", "09", "Problem 15: comparison with the Cannon"),
    ("15", "advantages and disadvantages", "09", "Problem 15: advantages and disadvantages"),
)


def questions() -> str:
    """The questions as a table in Markdown, with links to the headings that answer them.

    In the report each link becomes the number of a section, and "page" the number of its page.
    """
    names = {source.name[:2]: source.name for source in find()}
    rows = ["| problem | what is asked | answered in | page |", "| --- | --- | --- | ---: |"]
    for problem, question, number, heading in QUESTIONS:
        link = f"{names[number]}#{anchor(heading)}"
        rows.append(f"| {problem} | {question} | [{heading}](<{link}>) | [page](<{link}>) |")
    return "\n".join(rows)
