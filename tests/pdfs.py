"""What a PDF says."""

import pypdfium2

__all__ = ["text_of"]


def text_of(pdf):
    """The text of each page."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in document]
