"""The origin of the data, and the acknowledgement that the survey requests."""

from lab2.report.words import escaped

__all__ = ["credits_for"]

_SIMULATED = """# Acknowledgement

The spectra that are named as real come from the Sloan Digital Sky Survey IV, Data Release 17 (APOGEE-2). {wish}
"""

_OBSERVED = """# Data and acknowledgement

The spectra and labels are those of the Sloan Digital Sky Survey IV, **Data Release 17**, from its survey APOGEE-2:
coadded spectra (apStar files) of the Science Archive Server, and the catalog from the tables apogeeStar and aspcapStar,
or from the file allStar.{catalogue} SDSS considers the data of its public releases to be in the public domain
(<https://www.sdss.org/collaboration/image-use-policy/>).

{wish}
"""

_WISH = """Publications that use them should carry the official acknowledgement of SDSS-IV, word for word; it is at
<https://www.sdss4.org/collaboration/citing-sdss/>. Funding for SDSS-IV came from the Alfred P. Sloan Foundation, the
U.S. Department of Energy Office of Science and the participating institutions; computing resources from the Center for
High-Performance Computing at the University of Utah. The Astrophysical Research Consortium manages the survey for the
institutions of the collaboration, which that page lists. Papers to cite: DR17
[(Abdurro'uf et al. 2022)](https://doi.org/10.3847/1538-4365/ac4414), SDSS-IV
[(Blanton et al. 2017)](https://doi.org/10.3847/1538-3881/aa7567), APOGEE
[(Majewski et al. 2017)](https://doi.org/10.3847/1538-3881/aa784d), the 2.5 m telescope
[(Gunn et al. 2006)](https://doi.org/10.1086/500975), the spectrographs
[(Wilson et al. 2019)](https://doi.org/10.1088/1538-3873/ab0075), the reduction
[(Nidever et al. 2015)](https://doi.org/10.1088/0004-6256/150/6/173), the pipeline ASPCAP
[(García Pérez et al. 2016)](https://doi.org/10.3847/0004-6256/151/6/144), and its line list
[(Smith et al. 2021)](https://doi.org/10.3847/1538-3881/abefdc)."""


def credits_for(manifest: dict) -> str:
    """The report's last section.

    Parameters
    ----------
    manifest : dict
        The survey's manifest.

    Returns
    -------
    str
        Markdown.
    """
    if manifest["simulated"]:
        return _SIMULATED.format(wish=_WISH)
    about, text = manifest.get("catalogue"), ""
    if about:
        text = (
            f" This catalog has {escaped(about['rows'])} rows in the fields {escaped(', '.join(about['fields']))}, "
            f"with the labels of the pipeline's run {escaped(about['label_tree'])}; from {escaped(about['source'])}, "
            f"{escaped(about.get('date', 'undated'))}."
        )
    return _OBSERVED.format(catalogue=text, wish=_WISH)
