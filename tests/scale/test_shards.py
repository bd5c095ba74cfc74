"""One shard: made once, whole or not at all, and anew where anything about it is in doubt."""

import dataclasses
import os
import shutil

import pytest
import shard_makers

from lab2.scale import _sealed
from lab2.scale.plan import make_plan
from lab2.scale.shards import Job, finish, record_of


@pytest.fixture
def made(texts):
    """A job whose shard 1 is finished: the job, the shard, and its two files."""
    job, shard = texts.job(shard_makers.text), texts.plan.shards[1]
    assert not finish(job, shard)["kept"]
    return job, shard, texts.folder / "shards" / "000001.txt", texts.folder / "shards" / "000001.json"


def test_a_finished_shard_is_kept(made, texts):
    job, shard, result, record = made
    assert result.read_text().splitlines() == [str(path) for path in texts.files[5:10]]
    before = os.stat(result).st_mtime_ns, os.stat(record).st_mtime_ns
    assert finish(job, shard)["kept"]
    assert (os.stat(result).st_mtime_ns, os.stat(record).st_mtime_ns) == before


def damage_result(result, record, texts):
    result.write_text("x" + result.read_text()[1:])


def lose_result(result, record, texts):
    result.unlink()


def damage_record(result, record, texts):
    record.write_bytes(record.read_bytes().replace(b'"count": 5', b'"count": 4'))


def cut_record(result, record, texts):
    record.write_bytes(record.read_bytes()[:40])


def record_of_another_plan(result, record, texts):
    _sealed.write(record, _sealed.read(record) | {"plan": "another"})


def change_spectrum(result, record, texts):
    texts.files[7].write_text("another spectrum")


def lose_spectrum(result, record, texts):
    texts.files[7].unlink()


@pytest.mark.parametrize(
    "change",
    [
        damage_result,
        lose_result,
        damage_record,
        cut_record,
        record_of_another_plan,
        change_spectrum,
        lose_spectrum,
    ],
)
def test_anything_in_doubt_is_made_anew(made, texts, change):
    job, shard, result, record = made
    whole = result.read_text()
    change(result, record, texts)
    assert not finish(job, shard)["kept"]
    assert result.read_text() == whole
    assert finish(job, shard)["kept"]


def test_the_results_of_another_folder_are_not_taken_for_its_own(made, texts, tmp_path):
    _, _, result, record = made
    other = tmp_path / "other"
    plan = make_plan(other, texts.files[3:], 5, texts.plan.settings)
    for path in (result, record):
        shutil.copy(path, other / "shards")
    assert not finish(Job.of(other, plan, shard_makers.text), plan.shards[1])["kept"]
    assert (other / "shards" / "000001.txt").read_text().splitlines() == [str(path) for path in texts.files[8:13]]


def test_a_full_disk_leaves_no_result_and_no_record(texts):
    job, shard = texts.job(shard_makers.full_disk), texts.plan.shards[2]
    with pytest.raises(OSError, match="the disk is full"):
        finish(job, shard)
    assert record_of(texts.folder, texts.plan.identity, shard) is None
    assert [path.name for path in texts.folder.glob("shards/*2.*")] == ["000002.list"]


def test_other_code_is_refused(texts):
    job = dataclasses.replace(texts.job(shard_makers.text), settings={"code": "of another version"})
    with pytest.raises(RuntimeError, match="has other code of lab2 than the plan was made with"):
        finish(job, texts.plan.shards[0])


def test_a_disk_that_is_not_there_is_no_shard_of_missing_files(texts):
    texts.files[0].parent.rename(texts.folder.parent / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"has no folder .*spectra, where the spectra are"):
        finish(texts.job(shard_makers.text), texts.plan.shards[0])
