"""Makers of results for shards, in a module of their own so that workers can import them: texts in place of labels."""

import os
import signal
from pathlib import Path

from lab2.files import replacing


def text(job, shard, paths):
    """The paths of the shard, one a line."""
    name = f"shards/{shard.name}.txt"
    with replacing(Path(job.folder, name)) as part:
        part.write_text("\n".join(paths))
    return {"files": [name]}


def killed_once(job, shard, paths):
    """The worker dies in the middle of shard 1, with half of the result written, the first time."""
    marker = Path(job.folder, f"killed-{shard.name}")
    if shard.number == 1 and not marker.exists():
        marker.touch()
        Path(job.folder, f"shards/{shard.name}.txt").write_text(paths[0][:5])
        os.kill(os.getpid(), signal.SIGKILL)
    return text(job, shard, paths)


def failing_twice(job, shard, paths):
    """Shard 2 fails twice."""
    tries = Path(job.folder, f"tries-{shard.name}")
    tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
    if shard.number == 2 and len(tries.read_text()) < 3:
        raise OSError("the disk was away")
    return text(job, shard, paths)


def full_disk(job, shard, paths):
    """Shards 0 and 2 never have room."""
    if shard.number in (0, 2):
        with replacing(Path(job.folder, f"shards/{shard.name}.txt")) as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")
    return text(job, shard, paths)
