"""Bitmasks of the allStar catalog of SDSS DR17."""

from lab2._bits import Bits

__all__ = ["AspcapFlag", "StarFlag"]


class StarFlag(Bits):
    """STARFLAG of SDSS DR17 (sdss4.org, "bitmasks"): possible problems of a star's spectra."""

    BAD_PIXELS = 1 << 0
    COMMISSIONING = 1 << 1
    BRIGHT_NEIGHBOR = 1 << 2
    VERY_BRIGHT_NEIGHBOR = 1 << 3
    LOW_SNR = 1 << 4
    PERSIST_HIGH = 1 << 9
    PERSIST_MED = 1 << 10
    PERSIST_LOW = 1 << 11
    PERSIST_JUMP_POS = 1 << 12
    PERSIST_JUMP_NEG = 1 << 13
    SUSPECT_RV_COMBINATION = 1 << 16
    SUSPECT_BROAD_LINES = 1 << 17
    BAD_RV_COMBINATION = 1 << 18
    RV_REJECT = 1 << 19
    RV_SUSPECT = 1 << 20
    MULTIPLE_SUSPECT = 1 << 21
    RV_FAIL = 1 << 22
    SUSPECT_ROTATION = 1 << 23
    MTPFLUX_LT_75 = 1 << 24
    MTPFLUX_LT_50 = 1 << 25


class AspcapFlag(Bits):
    """ASPCAPFLAG of SDSS DR17 (sdss4.org, "bitmasks").

    Each problem occurs as a warning (bits 0 and up) and as "bad" (bits 16 and up). Bits 31 to 36 say why there is no
    result, 40 and 41 that the object is not a single ordinary star. Older releases have bits 0 to 31 only, in a 32-bit
    integer.
    """

    TEFF_WARN = 1 << 0
    LOGG_WARN = 1 << 1
    VMICRO_WARN = 1 << 2
    M_H_WARN = 1 << 3
    ALPHA_M_WARN = 1 << 4
    C_M_WARN = 1 << 5
    N_M_WARN = 1 << 6
    STAR_WARN = 1 << 7
    CHI2_WARN = 1 << 8
    COLORTE_WARN = 1 << 9
    ROTATION_WARN = 1 << 10
    SN_WARN = 1 << 11
    SPEC_HOLE_WARN = 1 << 12
    ATMOS_HOLE_WARN = 1 << 13
    VSINI_WARN = 1 << 14
    TEFF_BAD = 1 << 16
    LOGG_BAD = 1 << 17
    VMICRO_BAD = 1 << 18
    M_H_BAD = 1 << 19
    ALPHA_M_BAD = 1 << 20
    C_M_BAD = 1 << 21
    N_M_BAD = 1 << 22
    STAR_BAD = 1 << 23
    CHI2_BAD = 1 << 24
    COLORTE_BAD = 1 << 25
    ROTATION_BAD = 1 << 26
    SN_BAD = 1 << 27
    SPEC_HOLE_BAD = 1 << 28
    ATMOS_HOLE_BAD = 1 << 29
    VSINI_BAD = 1 << 30
    NO_ASPCAP_RESULT = 1 << 31
    MISSING_APSTAR = 1 << 32
    NO_GRID = 1 << 33
    BAD_FRAC_LOWSNR = 1 << 34
    BAD_FRAC_BADPIX = 1 << 35
    FERRE_FAIL = 1 << 36
    PROBLEM_TARGET = 1 << 40
    MULTIPLE_SUSPECT = 1 << 41
