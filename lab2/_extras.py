"""Optional dependencies: which extra a module needs, and the message if it is missing."""

from importlib.util import find_spec

__all__ = ["require"]

# The extras of pyproject.toml and the modules that they install. A test compares the two.
_MODULES = {
    "plot": ("matplotlib", "corner"),
    "mcmc": ("pymc", "nutpie", "arviz"),
    "archive": ("requests", "urllib3", "tenacity", "bs4"),
    "network": ("jax", "equinox", "optax"),
    "scale": ("bokeh", "dask", "distributed", "pyarrow", "zarr"),
    "lab": (
        *("bokeh", "bs4", "ipykernel", "jupyterlab", "nbconvert"),
        *("nbformat", "papermill", "psutil", "pypandoc", "typst"),
    ),
}


def require(extra: str, what: str) -> None:
    """Raise an ImportError if a package of an extra is not installed.

    Parameters
    ----------
    extra : str
        An extra of this package, such as "mcmc".
    what : str
        What needs it, for the message, such as "lab2.posterior".

    Raises
    ------
    ImportError
        The message names the missing packages and the command that installs them.

    Examples
    --------
    >>> require("plot", "lab2.plots")  # silent where Matplotlib and corner are installed
    """
    missing = [name for name in _MODULES[extra] if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{what} needs {', '.join(missing)}, which the extra {extra!r} installs; run: pip install 'lab2[{extra}]'"
        )
