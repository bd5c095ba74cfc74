"""Many shards on many workers, on this machine or through an existing scheduler, and the handling of failures.

Dask distributes the shards. If a worker dies, the scheduler gives its shard to another, and after four such deaths the
shard counts as failed. Failed shards are tried again after all others. If the scheduler itself is lost, its shards are
tried again as soon as it, or another at the same address, answers.
"""

import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

import dask
from distributed import Client, LocalCluster, as_completed
from tqdm.auto import tqdm

from lab2._blocks import n_cores
from lab2._failure import Failure
from lab2.scale.plan import Shard
from lab2.scale.shards import Job, finish

__all__ = ["connected", "work"]

_LOOPBACK = "127.0.0.1"
_TRIES = 3  # tries of a shard, each with up to four workers
_PATIENCE = 60.0  # waiting time for a scheduler that does not answer [s]
_ANSWER = 10.0  # time limit of a scheduler's answer [s]
_LOG = 60.0  # between two lines of progress in a log [s]
# Results go to files and only short records to the scheduler: there is nothing to spill from memory to disks.
_SETTINGS = {"distributed.worker.memory.target": False, "distributed.worker.memory.spill": False}


@contextlib.contextmanager
def connected(workers: int | None = None, scheduler: str | None = None) -> Iterator[str]:
    """The address of a scheduler; unless one is given, it and its workers are started on this machine.

    Parameters
    ----------
    workers : int, optional
        Processes to start here, with one thread each; by default one per core.
    scheduler : str, optional
        Address of a running scheduler, such as "tcp://10.0.0.1:8786".

    Yields
    ------
    str

    Raises
    ------
    ValueError
        If fewer than one worker is asked for.
    """
    if scheduler is not None:
        yield scheduler
        return
    if workers is not None and workers < 1:
        raise ValueError(f"the number of workers must be 1 or more; got {workers}")
    with (
        dask.config.set(_SETTINGS),
        tempfile.TemporaryDirectory(prefix="lab2-workers-") as folder,
        LocalCluster(
            n_workers=n_cores() if workers is None else workers,
            threads_per_worker=1,
            host=_LOOPBACK,
            dashboard_address=f"{_LOOPBACK}:0",
            local_directory=folder,
            silence_logs=logging.CRITICAL,  # failures are reported here, and slow termination of a worker is irrelevant
        ) as cluster,
    ):
        yield cluster.scheduler_address


def work(address: str, job: Job, shards: Sequence[Shard], report: Callable = print) -> list[dict]:
    """Process shards on the workers of a scheduler.

    Parameters
    ----------
    address : str
        As from `connected`.
    job : lab2.scale.shards.Job
    shards : sequence of lab2.scale.plan.Shard
    report : callable
        Called with lines of text for the user.

    Returns
    -------
    list of dict
        Records of the shards, by number.

    Raises
    ------
    Failure
        If shards failed three times, after all others are finished; the message lists them. If the scheduler does not
        answer for a minute.
    """
    records, failed, tries, link, said = {}, {}, dict.fromkeys(shards, 0), None, set()
    # in a log tqdm writes one line per minute
    pause = 0.5 if sys.stderr.isatty() else _LOG
    total = sum(shard.count for shard in shards)
    with tqdm(total=total, unit="star", mininterval=pause, desc=job.make.__name__) as bar:
        while tries:
            with _client(address) as client:
                if client.dashboard_link != link:
                    link = client.dashboard_link
                    report(f"dashboard: {link}")
                if not client.scheduler_info()["workers"]:
                    report(f"waiting for workers; each is started by: dask worker {address} --nthreads 1")
                for shard, outcome in _outcomes(client, job, list(tries)):
                    if isinstance(outcome, dict):
                        records[shard.number] = outcome
                        bar.update(shard.count)
                    elif isinstance(outcome, CancelledError):  # the scheduler was lost: not counted as a try
                        continue
                    else:
                        tries[shard] += 1
                        reason = _reason(outcome)
                        kind = tries[shard], _of_any(reason, shard)
                        if kind not in said:  # a full disk fails all shards, three times
                            report(f"shard {shard.name}, try {tries[shard]} of {_TRIES}: {reason}")
                        said.add(kind)
                        if tries[shard] < _TRIES:
                            continue
                        failed[shard] = reason
                    del tries[shard]
    if failed:
        raise Failure(_listed(failed, len(shards), job.folder))
    return [records[shard.number] for shard in shards]


@contextlib.contextmanager
def _client(address):
    """A client of the scheduler, which may be restarting."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            client = Client(address, timeout=_ANSWER, set_as_default=False)
            break
        except OSError as problem:
            if time.monotonic() > give_up:
                raise Failure(
                    f"no scheduler answers at {address} ({problem}); what is finished is kept: "
                    "start the scheduler and run the same command again"
                ) from problem
            time.sleep(1.0)
    with client:
        yield client


def _outcomes(client, job, shards):
    """Each shard with its record or its exception, in order of completion."""
    futures = {}
    for shard in shards:
        key = f"{job.identity[:12]}-{shard.name}-{time.time_ns()}"  # unique: Dask remembers earlier outcomes
        futures[client.submit(finish, job, shard, key=key, pure=False)] = shard
    for future in as_completed(futures, loop=client.loop):
        try:
            outcome = future.result()
        except (Exception, CancelledError) as problem:  # any error of a worker is reported, and the shard tried again
            outcome = problem
        shard = futures[future]
        future.release()
        yield shard, outcome


def _listed(failed, count, folder):
    """The failures as text, with one line for all shards that failed for the same reason."""
    reasons = {}
    for shard, reason in failed.items():
        reasons.setdefault(_of_any(reason, shard), []).append(shard)
    head = f"{len(failed)} of {count} shards failed {_TRIES} times; the others are finished in {folder}:"
    lines = []
    for reason, alike in reasons.items():
        names = sorted(shard.name for shard in alike)
        lines.append(f"  {', '.join(names)}: {reason if len(names) > 1 else failed[alike[0]]}")
    tail = "when the reason is gone, run the same command again: it makes only what is missing"
    return "\n".join([head, *lines, tail])


def _of_any(reason, shard):
    """A reason without the number of its shard."""
    return reason.replace(shard.name, "*")


def _reason(problem):
    first = (str(problem).strip() or "no message").splitlines()[0]
    return f"{type(problem).__name__}: {first}"
