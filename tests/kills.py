"""Kill `make report` again and again, and compare what the last run leaves with what an undisturbed one makes.

    .venv/bin/python tests/kills.py --kills 12 --stars 150

Two copies of the checkout are made in a temporary folder. In one, `make report` runs to its end; in the other it is
killed (SIGKILL, with all its processes) at random times, and then runs to its end. All products must be the same bits.
It takes about three times as long as one `make report`. The exit status is 1 if anything differs.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab2.files import sha256
from lab2.survey import root


def copy(folder):
    """A copy of the checkout's files, without what it has made, that uses the same .venv."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=root(), capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (root() / name).is_file() and not (root() / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root() / name, folder / name)
    (folder / ".venv").symlink_to((root() / ".venv").resolve())
    return folder


def start(folder, stars):
    """Begin `make report`, as a group of processes of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LAB2_", "MAKE"))}
    command = ["make", "-o", ".venv/.installed", "report", f"N_STARS={stars}"]
    log = (folder / "log").open("a")
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def finish(folder, stars):
    """Run `make report` to its end; how long it took [s]."""
    began = time.monotonic()
    if start(folder, stars).wait():
        sys.exit(f"make report failed:\n{(folder / 'log').read_text()[-2000:]}")
    return time.monotonic() - began


def products(folder):
    """Every file that was made, with its checksum; without locks."""
    found = [path for top in ("data", "build", "figures") for path in (folder / top).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): sha256(path) for path in found if path.suffix != ".lock"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--stars", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="lab2-kills-") as temporary:
        quiet, killed = (copy(Path(temporary, name)) for name in ("quiet", "killed"))
        length = finish(quiet, given.stars)
        print(f"undisturbed: {length:.0f} s", flush=True)
        for i in range(given.kills):
            run, delay = start(killed, given.stars), rng.uniform(0, 2.5 * length / given.kills)
            time.sleep(delay)
            alive = run.poll() is None
            if alive:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            made = sorted(path.stem[:2] for path in (killed / "build").glob("*/[0-9][0-9]_*[a-z].ipynb"))
            print(f"{i + 1}: {f'killed after {delay:.0f} s' if alive else 'had ended'}; made {made}", flush=True)
        print(f"last run: {finish(killed, given.stars):.0f} s", flush=True)
        expected, found = products(quiet), products(killed)
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        for name in differing:
            state = "differs" if name in expected and name in found else "missing" if name in expected else "left over"
            print(f"{state}: {name}")
        print(f"{len(expected)} products, {len(differing)} not the same bits")
        if differing:
            kept = Path(tempfile.mkdtemp(prefix="lab2-kills-kept-"))
            for side, top in (("quiet", quiet), ("killed", killed)):
                for name in differing:
                    if (top / name).is_file():
                        (kept / side / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(top / name, kept / side / name)
            print(f"both states of these are kept in {kept}")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
