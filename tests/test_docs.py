"""The documentation: it builds without a warning, says something of every public name, and its code runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXECUTED = [page for page in sorted(DOCS.rglob("*.md")) if "{code-cell}" in page.read_text(encoding="utf-8")]
LONGEST = 92  # characters of a line of code that fit on a page


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, its pages not executed: `make docs` does that, and the last test here, without kernels."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "nb_execution_mode=off"]
    command += ["-D", "suppress_warnings=myst-nb.lexer"]  # which language cells are in, their execution tells
    done = subprocess.run([*command, str(DOCS), str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="session")
def public():
    """docs/_ext/public.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_ext")
        import public

        yield public


@pytest.fixture(scope="session")
def described(site):
    """The names that the reference describes: what its entries and modules can be linked by."""
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "api").rglob("*.html"))
    return set(re.findall(r'id="(?:module-)?(lab2[\w.]*)"', pages))


def test_every_public_name_is_described(public, described):
    pages = public.pages()
    names = {entry["name"] for page in pages.values() for entry in page["entries"]}
    names |= set(pages) - {module for page in pages.values() for module in page["hidden"]}
    assert len(names) > 300
    assert names <= described, names - described
    assert {
        "lab2.cannon.train",
        "lab2.cannon.Cannon.save",
        "lab2.labels.LABELS",
        "lab2.cannon.Flag.NO_DATA",
    } <= described


def test_each_name_of_the_package_itself_is_described_where_it_comes_from(public, described):
    import lab2

    for name in lab2.__all__:
        assert f"lab2.{name}" in described or public.places()[id(getattr(lab2, name))] in described


def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["'](?:https?:)?//""")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    assert not [page.name for page in pages if loads.search(page.read_text(encoding="utf-8"))]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(?:@import|url\()\s*[\"']?https?:", styles)


def test_formulas_are_mathml(site):
    page = (site / "physics.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') >= 8
    assert "$$" not in page


@pytest.mark.parametrize(
    ("formula", "lost"),
    [(r"\frac{a}{b + c_n^2}", []), (r"\frac{\boldsymbol\theta_n}{b}", ["mfrac"])],
)
def test_a_formula_that_loses_a_part_is_noticed(formula, lost):
    from docutils.utils.math.latex2mathml import tex2mathml

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_ext")
        from mathml import broken

    assert broken(tex2mathml(formula)) == lost


def test_every_flag_of_a_fit_is_explained():
    from lab2.cannon import Flag

    table = (DOCS / "howto" / "flags.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE) == [flag.name for flag in Flag]


def test_links_between_the_projects_own_files_lead_to_pages(site):
    page = (site / "project" / "contributing.html").read_text(encoding="utf-8")
    assert 'href="vision.html"' in page
    assert 'href="../lab/tables.html"' in page
    assert 'href="synthesis.html"' in (site / "lab" / "data.html").read_text(encoding="utf-8")
    assert not list(site.rglob("_downloads/**/*.md"))  # what a link leads to that is no page is copied there


def cells(page):
    """The code of a page's cells."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```\{code-cell\} python\n(?::[^\n]*\n\n)?(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_lines_of_code_fit_on_the_page(page):
    assert cells(page)
    assert max(len(line) for cell in cells(page) for line in cell.splitlines()) <= LONGEST


def test_the_tutorial_takes_15_lines():
    after = (DOCS / "tutorial.md").read_text(encoding="utf-8").split("## The 15 lines")[1]
    code = re.search(r"```\{code-cell\} python\n(.*?)```", after, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_code_of_the_pages_runs(page, tiny_survey, tmp_path, monkeypatch, capsys, request):
    import matplotlib.pyplot as plt

    if page.stem == "real_star":
        request.getfixturevalue("real_spectra")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB2_HOME", str(tiny_survey.parents[1]))
    scope = {"__name__": "__main__"}
    for number, cell in enumerate(cells(page), start=1):
        exec(compile(cell, f"{page.name}, cell {number}", "exec"), scope)
    plt.close("all")
    assert capsys.readouterr().out
