"""A catalog with the columns that every survey needs, and ASPCAP_ID."""

from astropy.table import Table


def plain_catalog(aspcap_id, n=1):
    """`n` rows of one star like another, of the pipeline's run that `aspcap_id` names."""
    columns = {"APOGEE_ID": "2M1", "FIELD": "M15", "ASPCAP_ID": aspcap_id, "SNR": 100.0}
    columns |= {"TEFF": 4500.0, "LOGG": 2.0, "FE_H": 0.0, "MG_FE": 0.0, "SI_FE": 0.0}
    return Table({name: [value] * n for name, value in columns.items()})
