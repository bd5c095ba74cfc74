"""Notices about a run, and captions: Markdown that the PDF exporter distinguishes by its role."""

from IPython.display import Markdown, display

from lab2.report.words import escaped

__all__ = ["caption", "notice", "survey_statement"]


def survey_statement(survey: str, simulated: bool, label_tree: str, seed: int) -> str:
    """Statement of the survey, real or simulated, as a quotation in Markdown."""
    if simulated:
        return (
            f"> This run shows the survey **{escaped(survey)}**: *simulated* spectra and catalog, with the "
            f"layout of SDSS DR17's files. Nothing in it was observed. Seed {seed}."
        )
    return (
        f"> This run shows the survey **{escaped(survey)}**: observed spectra, and labels of the pipeline's run "
        f"*{escaped(label_tree)}*. Seed {seed}."
    )


def notice(text: str) -> None:
    """Show a passage about the run, which the report gives on its first page instead."""
    display(Markdown(text), metadata={"lab2": {"role": "notice"}})


def caption(text: str, kind: str, name: str | None) -> None:
    """Show the caption of the figure or table shown last.

    Parameters
    ----------
    text : str
        Markdown.
    kind : str
        "Figure" or "Table".
    name : str, optional
        Such as "05_comparison", by which prose refers to it: [Figure 05_comparison](#fig-05_comparison). The PDF
        exporter replaces it by a number.
    """
    about = {"role": "caption", "text": text}
    if name is not None:
        about["label"] = f"{kind[:3].lower()}-{name}"
    display(Markdown(text if name is None else f"**{kind} {escaped(name)}.** {text}"), metadata={"lab2": about})
