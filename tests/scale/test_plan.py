"""Plans: every spectrum in one shard, and a folder that holds one plan."""

import json

import pytest

from lab2.scale import _sealed
from lab2.scale.plan import list_path, make_plan, read_list, read_plan


@pytest.mark.parametrize(("n", "size"), [(1, 1), (10, 3), (9, 3), (4, 100)])
def test_each_path_is_in_one_shard_in_the_given_order(tmp_path, n, size):
    paths = [tmp_path / f"{(7 * k) % 11}.fits" for k in range(n)]
    plan = make_plan(tmp_path / "run", [*paths, *paths[::-1]], size, {})
    listed = [path for shard in plan.shards for path in read_list(tmp_path / "run", shard)]
    assert listed == [str(path) for path in paths]
    assert plan.count == n
    assert max(shard.count for shard in plan.shards) <= size
    assert [shard.start for shard in plan.shards] == list(range(0, n, size))
    assert read_plan(tmp_path / "run") == plan


def test_names_that_are_no_text_are_kept(tmp_path):
    name = b"/\xff\xe9 star.fits".decode("utf-8", "surrogateescape")
    plan = make_plan(tmp_path, [name], 1, {})
    assert read_list(tmp_path, plan.shards[0]) == [name]


def test_another_plan_in_the_folder_is_refused_and_says_what_differs(texts):
    same = dict(texts.plan.settings)
    assert make_plan(texts.folder, texts.files, 5, same) == texts.plan
    with pytest.raises(ValueError, match=r"differs in: code; give another folder"):
        make_plan(texts.folder, texts.files, 5, {"code": "another"})
    with pytest.raises(ValueError, match=r"differs in: the spectra \(23 then, 22 now\)"):
        make_plan(texts.folder, texts.files[1:], 5, same)
    with pytest.raises(ValueError, match="size of the shards"):
        make_plan(texts.folder, texts.files, 6, same)
    assert read_plan(texts.folder) == texts.plan


def test_a_list_that_was_changed_is_not_used_and_is_restored(texts):
    shard = texts.plan.shards[2]
    list_path(texts.folder, shard).write_text("/other.fits\n")
    with pytest.raises(ValueError, match="is not as it was planned"):
        read_list(texts.folder, shard)
    make_plan(texts.folder, texts.files, 5, texts.plan.settings)
    assert read_list(texts.folder, shard) == [str(path) for path in texts.files[10:15]]


def test_a_damaged_or_foreign_plan_is_an_error(texts):
    path = texts.folder / "plan.json"
    content = path.read_bytes()
    path.write_bytes(content[:100] + content[101:])
    with pytest.raises(ValueError, match="cannot be used"):
        make_plan(texts.folder, texts.files, 5, texts.plan.settings)
    _sealed.write(path, {"format": "something", "format_version": 1})
    with pytest.raises(ValueError, match="is no lab2 plan"):
        read_plan(texts.folder)
    path.write_text(json.dumps({}))
    with pytest.raises(ValueError, match="cannot be used"):
        read_plan(texts.folder)


def test_what_cannot_be_planned_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no spectra were given"):
        make_plan(tmp_path, [], 5, {})
    with pytest.raises(ValueError, match="at least one spectrum; got 0"):
        make_plan(tmp_path, ["a"], 0, {})
    with pytest.raises(ValueError, match="has a line break"):
        make_plan(tmp_path, ["a\nb"], 5, {})
    assert not list(tmp_path.iterdir())
