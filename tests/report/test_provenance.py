import subprocess

from lab2.report import provenance


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)
    assert provenance.commit() == (None, None)  # no checkout
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == (None, None)  # no git


def test_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # a hook's git would mislead this one
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "root", lambda: tmp_path)

    def git(*arguments):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    assert provenance.commit() == (None, None)  # nothing committed yet
    git("commit", "--allow-empty", "-m", "one")
    head, dirty = provenance.commit()
    assert len(head) == 40
    assert dirty is False
    (tmp_path / "new").write_text("x")
    assert provenance.commit() == (head, True)
