"""Tables in FITS files, read completely or rejected."""

import warnings

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable
from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["read"]

_MOST_COLUMNS = 999  # by the FITS standard


def read(path) -> QTable:
    """The table in HDU 1 of a FITS file, with decoded text.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    astropy.table.QTable
        A byte that is not UTF-8 is replaced by U+FFFD.

    Raises
    ------
    ValueError
        If it is not a complete FITS file with a table in HDU 1.
    """
    try:
        with warnings.catch_warnings():
            # astropy's warnings (padding, irrelevant cards, unknown units) do not concern the values
            warnings.simplefilter("ignore", AstropyUserWarning)
            _check_size(path)
            table = QTable.read(path, format="fits", hdu=1)
            for name in table.colnames:
                if table[name].dtype.kind == "S":
                    table[name] = _decoded(table[name])
    except Exception as error:  # a damaged header can make astropy raise any error
        raise ValueError(
            f"{path} is not a complete FITS file with a table in HDU 1 "
            f"({type(error).__name__}: {error}); fetch it again"
        ) from error
    return table


def _check_size(path):
    """Raise an error if the header declares more than the file holds, before memory is allocated."""
    with fits.open(path, memmap=True, disable_image_compression=True) as hdus:
        if hdus.fileinfo(0)["file"].compression is not None:
            raise ValueError("it is compressed")
        header, place = hdus[1].header, hdus[1].fileinfo()
        if header["XTENSION"].strip() != "BINTABLE":
            raise ValueError(f"HDU 1 is of the kind {header['XTENSION']}")
        if not 0 <= header["TFIELDS"] <= _MOST_COLUMNS:
            raise ValueError(f"its header declares {header['TFIELDS']} columns")
        need = header["NAXIS1"] * header["NAXIS2"] + header["PCOUNT"]
        there = path.stat().st_size - place["datLoc"]
        if not 0 <= need <= there:
            raise ValueError(f"its header declares {need} bytes of data, but there are {there}")
        if hdus[1].columns.dtype.itemsize != header["NAXIS1"]:
            raise ValueError(f"its columns do not fill the {header['NAXIS1']} bytes of a row")


def _decoded(column):
    text = np.char.decode(np.asarray(column), "utf-8", "replace")
    return MaskedColumn(text, mask=column.mask) if hasattr(column, "mask") else Column(text)
