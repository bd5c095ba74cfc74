"""Addresses of the archives. An environment variable can name a mirror, or a test server."""

import os

__all__ = ["base_url"]

_HOSTS = {
    "LAB2_SKYSERVER_URL": "https://skyserver.sdss.org",
    "LAB2_SAS_URL": "https://data.sdss.org",
    "LAB2_COURSE_URL": "https://raw.githubusercontent.com/ucb-datalab",
}


def base_url(variable: str) -> str:
    """The base address of an archive's URLs.

    Parameters
    ----------
    variable : str
        "LAB2_SKYSERVER_URL", "LAB2_SAS_URL" (the Science Archive Server) or "LAB2_COURSE_URL".

    Returns
    -------
    str
        The value of the environment variable of that name; default: the archive's own address. Without a final slash.

    Raises
    ------
    ValueError
        If it is not an http or https address.
    """
    url = os.environ.get(variable) or _HOSTS[variable]
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{variable} is {url!r}, where an address beginning with http:// or https:// is expected")
    return url.rstrip("/")
