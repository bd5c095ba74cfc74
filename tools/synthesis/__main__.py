"""Remake lab2/tables/emulator.npz and lab2/tables/lines.ecsv: .venv/bin/python -m tools.synthesis

Calibration and grid are kept in build/synthesis/ and not repeated while they are there. On two cores: inputs and
calibration take 5 minutes, the grid 20 to 30, the network 2.
"""

import argparse

import numpy as np

from lab2.files import replacing
from tools.synthesis import calibrate, emulator, grid, line_table
from tools.synthesis.anchors import anchors
from tools.synthesis.inputs import FOLDER
from tools.synthesis.lines import identified, read, strongest

N_LINES = 12000


def published_lines():
    """The strongest of linemake's lines and of those that the atlas of Arcturus adds."""
    every = read()
    return strongest(every.joined(identified(every)), N_LINES)


def calibrated_lines():
    """The strongest lines, with log gf as the real stars want them."""
    lines = published_lines()
    path = FOLDER / "calibration.npz"
    if not path.exists():
        stars = anchors()
        before = calibrate.report(lines, stars, calibrate.fit_anchors(lines, stars))
        correction, shared, parameters = calibrate.calibrate(lines, stars, calibrate.prior_width(lines))
        after = calibrate.report(lines.corrected(correction), stars, parameters)
        for (name, (r, rms)), fitted in zip(after.items(), parameters, strict=True):
            then = before[name]
            print(f"{name}: correlation {then[0]:.4f} -> {r:.4f}, rms {then[1]:.4f} -> {rms:.4f}; {fitted}")
        print("shared by the lines of a species [dex]:", {name: round(value, 2) for name, value in shared.items()})
        with replacing(path) as part:
            np.savez(part, wavelength=lines.wavelength, correction=correction)
    with np.load(path) as saved:
        if not np.array_equal(saved["wavelength"], lines.wavelength):
            raise SystemExit(f"{path} belongs to another line list: remove it and run again")
        return lines.corrected(saved["correction"])


def main():
    """Run the steps."""
    parser = argparse.ArgumentParser(prog="python -m tools.synthesis", description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=4900, help="spectra of the grid")
    count = parser.parse_args().spectra
    lines = calibrated_lines()
    line_table.write(lines)
    labels, flux = grid.compute(lines, count)
    test = emulator.held_out(len(labels))
    arrays = emulator.train(labels[~test], flux[~test])
    emulator.save(arrays)
    emulator.save_examples(labels[test], flux[test])
    emulator.report(labels[test], flux[test])


if __name__ == "__main__":
    main()
