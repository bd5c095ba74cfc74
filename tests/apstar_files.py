"""Small apStar files, whole or not, for tests."""

import numpy as np
from astropy.io import fits

from lab2.grid import N_PIXELS

__all__ = ["CHIP_KEYS", "HEADER", "arrays", "set_card", "write_older"]

CHIP_KEYS = {"BMIN": 201, "BMAX": 3320, "GMIN": 3538, "GMAX": 6127, "RMIN": 6295, "RMAX": 8380}
HEADER = {
    "OBJID": "2M00000000+0000000",
    "FIELD": "M67",
    "SNR": 123.5,
    "NVISITS": 3,
    "STARFLAG": 1028,
    "RA": 132.8,
    "DEC": 11.8,
    **CHIP_KEYS,
}


def arrays(n_rows=2, seed=61):
    """Flux, error and bitmask with data in the three chips and nothing between them."""
    rng = np.random.default_rng(seed)
    flux, error = rng.uniform(900, 1100, (n_rows, N_PIXELS)), rng.uniform(5, 15, (n_rows, N_PIXELS))
    bitmask = np.zeros((n_rows, N_PIXELS), dtype=int)
    pixel = np.arange(N_PIXELS)
    off = ~(
        ((pixel >= 201) & (pixel <= 3320)) | ((pixel >= 3538) & (pixel <= 6127)) | ((pixel >= 6295) & (pixel <= 8380))
    )
    flux[:, off] = 0.0
    return flux.astype("f4"), error.astype("f4"), bitmask


def write_older(path, *, shape=(N_PIXELS,), grid_in=1, mask_type="i2", flux_type=">f4", keys=CHIP_KEYS, n_images=3):
    """An apStar-like file made by hand, as older releases have it."""
    flux, error, bitmask = (a[0] for a in arrays(1))
    images = [np.broadcast_to(flux, shape).astype(flux_type), np.broadcast_to(error, shape).astype(flux_type)]
    images.append(np.broadcast_to(bitmask + 5, shape).astype(mask_type))
    hdus = [fits.PrimaryHDU(), *[fits.ImageHDU(image) for image in images[:n_images]]]
    hdus[0].header.update({"OBJID": "2M1", "SNR": 50.0, **keys})
    hdus[grid_in].header.update({"CRVAL1": 4.179, "CDELT1": 6e-6})
    fits.HDUList(hdus).writeto(path)
    return path


def set_card(path, hdu, key, value):
    """Overwrite the value of a card, byte by byte, whether it is valid or not."""
    content = bytearray(path.read_bytes())
    start = 0
    for _ in range(hdu):
        start = content.index(b"XTENSION", start + 80)
    place = content.index(f"{key:8}=".encode(), start)
    content[place + 10 : place + 80] = f"{value:>20}".ljust(70).encode("latin-1")
    path.write_bytes(content)
