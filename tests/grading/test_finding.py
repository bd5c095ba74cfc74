import json

import pytest

from lab2.grading.finding import find

STEMS = ("01_training_set", "03_continuum", "04_spectral_model")


def source(text):
    return json.dumps({"cells": [{"cell_type": "code", "source": [text]}]})


@pytest.mark.parametrize(
    ("name", "text", "number"),
    [
        ("mine.ipynb", 'page = Page("04_spectral_model", survey, seed)', "04"),
        ("01_training_set.ipynb", "page = Page( '03_mine', survey, seed)", "03"),
        ("ada_77_04_spectral_model-1.ipynb", "1", "04"),
        ("03 final.ipynb", "1", "03"),
        ("0304.ipynb", "1", ""),
        ("homework.ipynb", 'Page("77_other", survey, seed)', ""),
    ],
)
def test_which_notebook_of_the_lab_it_is(tmp_path, name, text, number):
    (tmp_path / name).write_text(source(text))
    (found,) = find(tmp_path, STEMS)
    assert (found.name, found.number) == (name, number)


def test_hidden_files_and_checkpoints_are_left_out(tmp_path):
    for name in (
        "b/x.ipynb",
        "b/.ipynb_checkpoints/x.ipynb",
        ".ipynb_checkpoints/y.ipynb",
        "._a.ipynb",
        "a.ipynb",
        "c.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source("1"))
    assert [found.name for found in find(tmp_path, STEMS)] == ["a.ipynb", "b/x.ipynb"]


def test_odd_names_have_places_of_their_own(tmp_path):
    for name in ("é.ipynb", "ü.ipynb", "-x.ipynb", "a b.ipynb", "a.b.ipynb", "x" * 240 + ".ipynb"):
        (tmp_path / name).write_text(source("1"))
    found = find(tmp_path, STEMS)
    keys = [one.key for one in found]
    assert len(set(keys)) == len(keys) == 6
    assert all(key.isascii() and "/" not in key and len(key) < 80 for key in keys)
    assert len({one.digest for one in found}) == 1


def test_a_link_is_no_file(tmp_path):
    (tmp_path / "a.ipynb").symlink_to("/dev/zero")
    (tmp_path / "b.ipynb").mkdir()
    assert [(found.digest, found.number) for found in find(tmp_path, STEMS)] == [("", ""), ("", "")]
