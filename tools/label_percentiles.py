"""Print the percentiles of data/README.md: catalog labels of the simulated survey's giants beside those of DR17's.

.venv/bin/python -m tools.label_percentiles
"""

import numpy as np

from lab2.simulate.stars import draw_survey
from tools.synthesis.inputs import dr17_labels

PERCENTILES = (5, 16, 50, 84, 95)
# Name, column, digits.
LABELS = (("Teff [K]", "TEFF", 0), ("log g", "LOGG", 2), ("[M/H]", "M_H", 2), ("[alpha/M]", "ALPHA_M", 2))


def giants(labels):
    """The rows of (Teff, log g, [M/H], [alpha/M]) in the range that both lists cover."""
    teff, logg, m_h, _ = labels.T
    return labels[(logg < 3.4) & (teff > 3700) & (teff < 5100) & (m_h >= -1)]


def main():
    """Print the table."""
    selected, _ = draw_survey(128, 1886)
    simulated = np.column_stack([selected[column] for _, column, _ in LABELS])
    real, simulated = giants(dr17_labels()), giants(simulated)
    print(f"| | DR17 ({len(real)}) | simulated ({len(simulated)}) |\n| --- | --- | --- |")
    for k, (name, _, digits) in enumerate(LABELS):
        columns = (
            ", ".join(f"{v:.{digits}f}" for v in np.percentile(part[:, k], PERCENTILES)) for part in (real, simulated)
        )
        print(f"| {name} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
