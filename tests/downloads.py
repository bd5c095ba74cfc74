"""What the tests of downloads share."""

from archive_server import STARS

from lab2 import archive as sdss
from lab2.archive.transfer import Download


def download(archive, folder, name="a.fits", **other):
    """A file of the stand-in, to be fetched into a folder."""
    given = {"check": lambda path: None, "expected": 400_000, "limit": 1_000_000} | other
    return Download(url=f"{archive.url}{STARS}apo25m/F/{name}", path=folder / "here" / name, **given)


def fetch(**given):
    """Plan a survey and fetch it."""
    return sdss.fetch(sdss.plan(**given))


def spectra(folder):
    """Every spectrum under a final name: field and name to its contents."""
    return {
        path.relative_to(folder / "apStar").as_posix(): path.read_bytes() for path in folder.glob("apStar/*/*.fits")
    }


def parts_in(folder):
    """Hidden files of a survey, but for its lock."""
    return [path for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


class Answer:
    """An answer that no server of the standard library would give."""

    status_code, url = 200, "http://x/"

    def __init__(self, chunks, **headers):
        self.chunks, self.headers = chunks, headers

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def iter_content(self, size):
        return iter(self.chunks)
