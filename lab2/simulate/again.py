"""Decide what to do if a survey of the same name exists: remake, enlarge or replace it."""

from lab2._command import command
from lab2.survey import manifest

__all__ = ["arguments"]


def arguments(survey: str, seed: int | None = None, n_stars: int | None = None, replace: bool = False) -> dict:
    """The arguments of `lab2.simulate.make_survey`: those not given are taken from the existing survey of this name.

    Parameters
    ----------
    survey : str
        The survey's name.
    seed, n_stars : int, optional
        The requested values.
    replace : bool
        Whether the survey may be replaced by one with other or fewer stars.

    Returns
    -------
    dict
        "seed" and "n_stars"; only those given if there is no simulated survey of this name.

    Raises
    ------
    ValueError
        If the existing survey has another seed or more stars, and `replace` is False.
    """
    wanted = {"seed": seed, "n_stars": n_stars}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    try:
        about = manifest(survey)
    except (FileNotFoundError, ValueError):  # missing or unreadable: nothing to compare with
        return wanted
    if not {"seed", "n_stars"} <= about.keys():
        return wanted
    new = {name: about[name] for name in ("seed", "n_stars")} | wanted
    if not replace and (new["seed"] != about["seed"] or new["n_stars"] < about["n_stars"]):
        given = "".join(f" --{name.replace('_', '-')} {value}" for name, value in wanted.items())
        raise ValueError(
            f"survey {survey!r} has seed {about['seed']} and {about['n_stars']} stars; seed {new['seed']} and "
            f"{new['n_stars']} stars make another survey: give it another name (make: SURVEY=name; lab2: --survey "
            f"name), or replace this one: {command(f'simulate --survey {survey}{given} --replace')}"
        )
    return new
