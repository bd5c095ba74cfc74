"""What the report says of the data's origin, and of the thanks that are due for them."""

from lab2.report.words import escaped

__all__ = ["credits_for"]

_SIMULATED = """## Acknowledgement

The spectra that are named as real come from the Sloan Digital Sky Survey IV, Data Release 17 (APOGEE-2). {wish}
"""

_OBSERVED = """## The data, and acknowledgement

The spectra and the labels are those of the Sloan Digital Sky Survey IV, **Data Release 17**, of its survey APOGEE-2:
the coadded spectra (apStar files) of the Science Archive Server, and the catalog of the tables apogeeStar and
aspcapStar, or of the file allStar.{catalogue} SDSS regards the data of its public releases as in the public domain
(<https://www.sdss.org/collaboration/image-use-policy/>).

{wish}
"""

_WISH = """Who publishes results from them is asked for the official acknowledgement of SDSS-IV, word for word; it is at
<https://www.sdss4.org/collaboration/citing-sdss/>. The survey was paid for by the Alfred P. Sloan Foundation, the
Office of Science of the U.S. Department of Energy and the participating institutions, computed with the Center for
High-Performance Computing at the University of Utah, and managed by the Astrophysical Research Consortium for the
institutions of the collaboration, which that page names. Papers to cite: DR17, Abdurro'uf et al. 2022 (ApJS 259, 35);
SDSS-IV, Blanton et al. 2017 (AJ 154, 28); APOGEE, Majewski et al. 2017 (AJ 154, 94); the 2.5 m telescope, Gunn et al.
2006 (AJ 131, 2332); the spectrographs, Wilson et al. 2019 (PASP 131, 055001); the reduction, Nidever et al. 2015 (AJ
150, 173); the pipeline ASPCAP, García Pérez et al. 2016 (AJ 151, 144); its line list, Smith et al. 2021 (AJ 161,
254)."""


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
