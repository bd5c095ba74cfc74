"""What a public project has beside its code: one version everywhere, workflows that parse and do what README says."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def commands(workflow):
    """The shell lines of a workflow."""
    return [step["run"] for job in read(workflow)["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_version_and_the_date_of_a_release_are_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## (\S+) \((.*?)\)$", changes, re.MULTILINE).groups()
    citation = read("CITATION.cff")
    assert version == PROJECT["version"] == str(citation["version"])
    released = str(citation["date-released"]) if "date-released" in citation else "unreleased"
    assert date == released


def test_the_citation_is_complete():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(reference)
        assert ("doi" in reference and "journal" in reference) or "identifiers" in reference


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_parse_are_pinned_and_may_write_nothing(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert set(job.get("permissions", {})) <= {"contents"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/checkout@v1"))
    writers = [name for name, job in workflow["jobs"].items() if job.get("permissions") == {"contents": "write"}]
    assert writers == (["attach"] if path.stem == "release" else [])


def test_workflows_run_the_commands_that_people_run():
    targets = re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    made = {line for path in WORKFLOWS for line in commands(path) if line.startswith("make ")}
    assert made == {"make setup", "make test", "make docs"}
    for line in made:
        assert line.split()[1] in targets
        assert line in contributing
    for path in WORKFLOWS:
        for script in re.findall(r"python (\S+\.py)", "\n".join(commands(path))):
            assert (ROOT / script).is_file()


def test_the_matrix_is_the_pythons_and_systems_that_are_promised():
    lowest, highest = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()
    promised = [f"3.{minor}" for minor in range(int(lowest), int(highest))]
    for job in read(".github/workflows/test.yml")["jobs"].values():
        assert job["strategy"]["matrix"]["python"] == promised
        assert {system.split("-")[0] for system in job["strategy"]["matrix"]["os"]} == {"ubuntu", "macos"}


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_issue_forms_parse(name):
    form = read(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    for part in form["body"]:
        assert part["type"] in {"textarea", "dropdown", "checkboxes"}
        assert part["attributes"]["label"]


def test_files_and_commands_that_contributors_are_sent_to_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"(?:tools|tests)/\w+\.py", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m (tools[\w.]*)", text):
        assert (ROOT / module.replace(".", "/")).exists() or (ROOT / (module.replace(".", "/") + ".py")).is_file()
    tables = {path.name for path in (ROOT / "lab2" / "tables").iterdir()} - {"README.md"}
    told = text.split("## Remake a table")[1].split("## Remake the lock")[0]
    assert set(re.findall(r"`(\w+\.(?:ecsv|npz))`", told)) == tables
