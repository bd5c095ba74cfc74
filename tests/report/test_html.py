import numpy as np
import pandas as pd
from astropy import units as u
from astropy.table import MaskedColumn, QTable

from lab2.report.html import html_table


def test_tables_show_numbers_units_and_gaps():
    masked = MaskedColumn([1, 2, 3], mask=[False, True, False])
    table = QTable({"star": ["a<b", "-c", "d"], "teff": [-2.345, np.nan, 4.0] * u.K, "n": masked})
    html = html_table(table, {"teff": ".1f"})
    assert "<tr><th></th><th>K</th><th></th></tr>" in html
    assert "<tr><td>a&lt;b</td><td>−2.3</td><td>1</td></tr>" in html
    assert "<tr><td>-c</td><td>–</td><td>–</td></tr>" in html
    frame = pd.DataFrame({"bias": [0.123456], "good": [True]}, index=["x"])
    assert "<td>x</td><td>0.1235</td><td>True</td>" in html_table(frame)
    assert "<tr><td>0.1235</td>" in html_table(frame.reset_index(drop=True))
