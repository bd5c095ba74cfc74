"""Fetch a whole survey through a bad line, and again while being killed.

    PYTHONPATH=tests .venv/bin/python tests/archive/stress.py [--stars 2000] [--kills 10]

simulates a survey, serves it on loopback by a server that drops 5 % of connections in the middle of a file, answers
3 % with 503, 1 % with a web page and lets 1 % stall, and fetches it twice with `.venv/bin/python -m lab2 fetch`: once
undisturbed, once with SIGKILL at random moments. Every time it compares all files with those served. The tests do the
same on a small scale.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from archive_server import ArchiveServer, Faults
from astropy.table import Table
from observed import as_observed

from lab2.simulate import make_survey

FAULTS = Faults(drop=0.05, busy=0.03, page=0.01, stall=0.01)
# SkyServer's pace and patience with stalls are shortened: they are constants, and not what is tried here.
CLIENT = """
from lab2.archive import skyserver, transfer
skyserver.PAUSE, transfer.PATIENCE = 0, 2
from lab2.__main__ import main
exit(main(["fetch"]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stars", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        simulated = make_survey(Path(temporary) / "simulated", seed=given.seed, n_stars=given.stars)
        source = as_observed(simulated, Path(temporary) / "observed")
        served = files(source)
        size = sum(map(len, served.values()))
        print(f"{len(served)} files, {size / 1e6:.0f} MB")
        undisturbed(Path(temporary) / "a", source, served)
        killed(Path(temporary) / "b", source, served, given.kills, random.Random(given.seed))


def undisturbed(home, source, served):
    """One run to its end."""
    with server(source) as archive:
        start = time.monotonic()
        subprocess.run(command(), env=environment(archive, home), check=True, capture_output=True)
        seconds = time.monotonic() - start
    check(home, served, complete=True)
    sent = sum(request[3] for request in archive.requests)
    print(f"undisturbed: complete and byte-identical in {seconds:.0f} s")
    print(f"    {told(archive.requests, served)}, {sent / 1e6:.0f} MB")


def killed(home, source, served, kills, rng):
    """Runs that are killed, then one to its end."""
    with server(source) as archive:
        whole, again, moments = {}, 0, []
        for _ in range(kills):
            archive.requests.clear()
            client = subprocess.Popen(
                command(), env=environment(archive, home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while not archive.requests:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 2.5))
            client.send_signal(signal.SIGKILL)
            if client.wait() != -signal.SIGKILL:
                raise SystemExit("the client ended before it was killed: give it more files")
            again += len(asked(archive.requests) & whole.keys())
            before, whole = whole, check(home, served, complete=False)
            if not before.keys() <= whole.keys():
                raise SystemExit("a file was lost")
            moments.append(len(whole))
        archive.requests.clear()
        subprocess.run(command(), env=environment(archive, home), check=True, capture_output=True)
        again += len(asked(archive.requests) & whole.keys())
    check(home, served, complete=True)
    print(f"killed {kills} times, with {moments} files whole: complete and byte-identical")
    print(f"    {again} whole files were asked for again")


def server(source):
    return ArchiveServer(Table.read(source / "allStar.fits"), source / "apStar", faults=FAULTS)


def command():
    return [sys.executable, "-c", CLIENT]


def environment(archive, home):
    return os.environ | archive.environment | {"LAB2_HOME": str(home)}


def check(home, served, complete):
    """Every file under a final name is one that is served, byte for byte, and all are there if they should be."""
    here = files(home / "data" / "dr17")
    wrong = [name for name, content in here.items() if served.get(name) != content]
    if wrong:
        raise SystemExit(f"not what was served: {wrong[:3]}")
    if complete and here.keys() != served.keys():
        raise SystemExit(f"{len(served.keys() - here.keys())} files are missing")
    if complete and (left := list((home / "data" / "dr17" / "apStar").rglob(".*"))):
        raise SystemExit(f"parts are left: {left[:3]}")
    return here


def files(survey):
    return {
        path.relative_to(survey / "apStar").as_posix(): path.read_bytes() for path in survey.glob("apStar/*/*.fits")
    }


def asked(requests):
    """Field and name of the spectra that were asked for."""
    return {"/".join(request[0].split("/")[-2:]) for request in requests if "/stars/" in request[0]}


def told(requests, served):
    times = Counter(request[0] for request in requests if "/stars/" in request[0])
    resumed = sum(request[1] > 0 for request in requests)
    return f"{times.total()} requests for {len(served)} files, {resumed} of them for the rest of one"


if __name__ == "__main__":
    main()
