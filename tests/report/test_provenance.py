import subprocess

from lab2.report import provenance


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)
    assert provenance.commit() == (None, None)  # no checkout
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == (None, None)  # no git


def test_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    folder = tmp_path / "it's é "  # a space ends it
    folder.mkdir()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a hook's git would mislead this one
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "root", lambda: folder)

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init")
    assert provenance.commit() == (None, None)  # nothing committed yet
    git("commit", "--allow-empty", "-m", "one")
    head, dirty = provenance.commit()
    assert len(head) == 40
    assert dirty is False
    (folder / "new").write_text("x")
    assert provenance.commit() == (head, True)
