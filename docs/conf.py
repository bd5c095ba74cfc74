"""Settings of the documentation. `make docs` builds it without the network, warnings as errors."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import public

import lab2

ROOT = Path(__file__).parents[1]
os.environ["PYTHONPATH"] = str(ROOT)  # the pages are executed with the code that stands beside them

project, author = "lab2", "The lab2 developers"
version = release = lab2.__version__
copyright = "The lab2 developers"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb", "sphinx_copybutton", "mathml"]
templates_path = ["_templates"]
exclude_patterns = ["_*", "**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = f"lab2 {release}"
html_static_path = ["_static"]
html_css_files = ["lab2.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

# What a docstring puts between single backticks is a link where there is such a thing. A link to something of lab2 that
# is not there is a warning.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!lab2\.).*|.*\._.*")]
autodoc_default_options = {"show-inheritance": True}
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the sections "Parameters" and "Returns" say more
autosummary_generate = True
autosummary_context = {"pages": public.pages()}
numpydoc_show_class_members = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
nb_execution_mode = "force"  # outputs are always those of this code
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_execution_in_temp = True
nb_output_stderr = "error"  # a warning is shown only on pages that allow it
nb_merge_streams = True
nb_render_markdown_format = "myst"

# Files of the project that are pages here: links to them in other files of the project lead to these pages.
PAGES = {
    "CHANGELOG.md": "project/changelog",
    "CITATION.cff": "project/citation",
    "CONTRIBUTING.md": "project/contributing",
    "VISION.md": "project/vision",
    "benchmarks/README.md": "benchmarks/index",
    "benchmarks/oddities.md": "benchmarks/oddities",
    "benchmarks/results.md": "benchmarks/results",
    "data/README.md": "lab/data",
    "lab2/tables/README.md": "lab/tables",
    "tools/synthesis/README.md": "lab/synthesis",
}


def link_pages(app, path, docname, source):
    """Point the links of an included file of the project to the pages here."""
    folder = (app.srcdir / path).resolve().parent
    for name, page in PAGES.items():
        relative = os.path.relpath(ROOT / name, folder)
        source[0] = source[0].replace(f"]({relative})", f"](/{page}.md)")


def clear_reference(app, config):
    """Remove the reference's pages of an earlier build: a module that is gone has no page."""
    shutil.rmtree(app.srcdir / "api" / "generated", ignore_errors=True)


def make_survey(app, config):
    """A small simulated survey for the pages that read one, in a home that is gone after the build."""
    if config.nb_execution_mode == "off":
        return
    from lab2.simulate import make_survey

    home = Path(tempfile.mkdtemp(prefix="lab2-docs-"))
    app.connect("build-finished", lambda *_: shutil.rmtree(home))
    os.environ["LAB2_HOME"] = str(home)
    make_survey(home / "data" / "simulated", seed=7, n_stars=300)


def find_elsewhere(app, env, node, contnode):
    """Link a name of a thing that is documented under another of its names, as `lab2.train` and `lab2.cannon.train`."""
    place = public.places().get(id(public.thing(node.get("reftarget", ""))))
    if node.get("refdomain") != "py" or place is None:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", place, node, contnode)


def setup(app):
    app.connect("include-read", link_pages)
    app.connect("missing-reference", find_elsewhere)
    app.connect("config-inited", clear_reference)
    app.connect("config-inited", make_survey)
