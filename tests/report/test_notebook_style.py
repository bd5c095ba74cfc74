"""Notebooks are calls, figures and words: short cells, short lines, no functions, no outputs."""

import ast
import io
import itertools
import shutil
import subprocess
import sys
import tokenize

import nbformat
import pytest

from lab2.report.run import find
from lab2.survey import root

LONGEST_CELL, LONGEST_LINE = 25, 100
SOURCES = find()
# What JupyterLab adds to a notebook that it saves.
AS_JUPYTERLAB = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3.13.1",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def code_cells(source):
    """Number and text of each code cell."""
    cells = nbformat.read(source, as_version=4).cells
    return [(number, cell.source) for number, cell in enumerate(cells) if cell.cell_type == "code"]


def definitions(code):
    """Names of functions and classes that code defines, and lines where it assigns a lambda."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, FUNCTIONS):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and isinstance(node.value, ast.Lambda):
            found.append(f"lambda in line {node.lineno}")
    return found


def glued(code):
    """Lines where a string is put together of pieces: by +, or by standing side by side."""
    added = [
        node.lineno
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add)
        and any(
            isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", 0), str)
            for side in (node.left, node.right)
        )
    ]
    # Python 3.12 reads an f-string as several tokens
    names = [
        (tokenize.tok_name[token.type], token.start[0])
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type not in (tokenize.NL, tokenize.COMMENT)
    ]
    ends, begins = {"STRING", "FSTRING_END"}, {"STRING", "FSTRING_START"}
    return added + [line for (one, _), (other, line) in itertools.pairwise(names) if one in ends and other in begins]


def faults(code):
    """What is wrong with the text of a cell."""
    found = [f"defines {name}" for name in definitions(code)]
    found += [f"line {n} glues strings" for n in glued(code)]
    rows = code.splitlines()
    if len(rows) > LONGEST_CELL:
        found.append(f"{len(rows)} lines")
    return found + [f"line {n} has {len(row)} columns" for n, row in enumerate(rows, 1) if len(row) > LONGEST_LINE]


def test_there_are_notebooks():
    assert len(SOURCES) == 10


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_cells_are_short_and_define_nothing(source):
    wrong = {f"cell {number}": found for number, code in code_cells(source) if (found := faults(code))}
    assert not wrong


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_notebook_is_kept_without_outputs(source):
    cells = nbformat.read(source, as_version=4).cells
    assert not [cell.id for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_prose_is_as_narrow_as_code(source):
    cells = [cell for cell in nbformat.read(source, as_version=4).cells if cell.cell_type == "markdown"]
    assert not [row for cell in cells for row in cell.source.splitlines() if len(row) > LONGEST_LINE]


@pytest.mark.skipif(shutil.which("git") is None or shutil.which("make") is None, reason="needs git and make")
def test_a_notebook_that_was_run_and_saved_in_jupyterlab_is_no_change_for_git(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("Makefile", ".gitattributes", "notebooks/08_spectral_sequences.ipynb"):
        shutil.copy(root() / name, tmp_path / name)
    for name in ("requirements.lock.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def git(*arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init")
    # the command is taken from what `make setup` would do
    setup = subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", "setup"], cwd=tmp_path, capture_output=True, text=True
    )
    (configure,) = [line for line in setup.stdout.replace("\\\n", "").splitlines() if "filter.notebook.clean" in line]
    subprocess.run(configure, cwd=tmp_path, check=True, shell=True)
    git("add", "notebooks", "Makefile", ".gitattributes")
    git("commit", "-m", "as they are")
    (source,) = (tmp_path / "notebooks").glob("*.ipynb")
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.language_info.update(AS_JUPYTERLAB)
    notebook.cells[2].execution_count = 2
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="said")]
    nbformat.write(notebook, source)
    assert git("diff", "HEAD", "--name-only") == ""
    git("add", "notebooks")
    assert git("status", "--porcelain", "notebooks") == ""
    source.write_text(source.read_text().replace("import", "import  ", 1))
    assert git("diff", "HEAD", "--name-only") == f"notebooks/{source.name}\n"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("def f():\n    pass", "defines f"),
        ("if x:\n    class A:\n        pass", "defines A"),
        ("f = lambda x: x", "defines lambda in line 1"),
        ("\n".join(["x = 1"] * 26), "26 lines"),
        (f"x = '{'a' * 100}'", "line 1 has 106 columns"),
        ("x = ('a'\n  f'{y}')", "line 2 glues strings"),
        ("x = f'{y}' + 'a'", "line 1 glues strings"),
    ],
)
def test_the_checks_can_fail(code, fault):
    assert faults(code) == [fault]
    assert faults("x = sorted([3, 1], key=lambda v: -v)") == []
    assert faults("x = ['a', f'{y}', f'{z[1:]}']") == []
