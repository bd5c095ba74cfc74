"""Many shards on workers that die, fail, or have a scheduler that does not answer."""

import pytest
import shard_makers

from lab2._failure import Failure
from lab2.scale import cluster
from lab2.scale.shards import record_of


def made(texts):
    """Lines of all results, in the order of the shards."""
    return [line for n in range(5) for line in (texts.folder / f"shards/00000{n}.txt").read_text().splitlines()]


def test_no_shard_is_lost_when_workers_are_killed(texts, address):
    said = []
    records = cluster.work(address, texts.job(shard_makers.killed_once), texts.plan.shards, said.append)
    assert len(list(texts.folder.glob("killed-*"))) == 1
    assert made(texts) == [str(path) for path in texts.files]
    assert [record["count"] for record in records] == [5, 5, 5, 5, 3]
    assert said[0].startswith("dashboard: http://127.0.0.1:")
    assert len(said) == 1


def test_a_shard_that_fails_is_tried_again_after_the_others(texts, address):
    said = []
    records = cluster.work(address, texts.job(shard_makers.failing_twice), texts.plan.shards, said.append)
    assert made(texts) == [str(path) for path in texts.files]
    assert [record["shard"] for record in records] == [shard.digest for shard in texts.plan.shards]
    assert said[1:] == [f"shard 000002, try {n} of 3: OSError: the disk was away" for n in (1, 2)]
    tries = {path.name[-1]: len(path.read_text()) for path in texts.folder.glob("tries-*")}
    assert tries == {"0": 1, "1": 1, "2": 3, "3": 1, "4": 1}


def test_what_always_fails_is_listed_and_the_rest_is_finished(texts, address):
    said = []
    with pytest.raises(Failure) as failure:
        cluster.work(address, texts.job(shard_makers.full_disk), texts.plan.shards, said.append)
    first, listed, last = str(failure.value).splitlines()
    assert first == f"2 of 5 shards failed 3 times; the others are finished in {texts.folder}:"
    reason = f"OSError: cannot write {texts.folder}/shards/*.txt: the disk is full"
    assert listed == f"  000000, 000002: {reason}"
    assert last.startswith("when the reason is gone")
    # each try is told of once, not of every shard that failed alike
    assert [line.split(": ")[0][-10:] for line in said[1:]] == ["try 1 of 3", "try 2 of 3", "try 3 of 3"]
    finished = [bool(record_of(texts.folder, texts.plan.identity, shard)) for shard in texts.plan.shards]
    assert finished == [False, True, False, True, True]
    cluster.work(address, texts.job(shard_makers.text), texts.plan.shards, lambda text: None)
    assert made(texts) == [str(path) for path in texts.files]


def test_a_scheduler_that_does_not_answer_is_reported(texts, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.0)
    monkeypatch.setattr(cluster, "_ANSWER", 0.5)
    with pytest.raises(Failure, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 .*what is finished is kept"):
        cluster.work("tcp://127.0.0.1:9", texts.job(shard_makers.text), texts.plan.shards, lambda text: None)


def test_fewer_than_one_worker_is_an_error():
    with pytest.raises(ValueError, match="must be 1 or more; got 0"), cluster.connected(0):
        pass
