"""Formulas as MathML, which every browser draws by itself: no JavaScript, and nothing is loaded from elsewhere.

The translation is that of docutils, on which Sphinx is built. A formula that it cannot read, or of which it loses a
part (it does so with \\boldsymbol in a fraction), is a warning.
"""

import re
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_log = logging.getLogger(__name__)
# How many parts each of these elements must have.
_PARTS = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "mroot": 2, "msubsup": 3, "munderover": 3}


def broken(mathml):
    """The elements of a formula that lack a part, or have one too many."""
    tree = ElementTree.fromstring(re.sub(r"&[A-Za-z]+;", " ", mathml))
    tags = [(element.tag.rpartition("}")[2], len(element)) for element in tree.iter()]
    return [tag for tag, parts in tags if parts != _PARTS.get(tag, parts)]


def _mathml(node, as_block):
    try:
        found = tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        _log.warning("a formula cannot be read: %s: %s", error, node.astext(), location=node)
        return ""
    if broken(found):
        _log.warning("a formula loses a part of %s: %s", broken(found)[0], node.astext(), location=node)
    return found


def _inline(self, node):
    self.body.append(f'<span class="math notranslate nohighlight">{_mathml(node, False)}</span>')
    raise nodes.SkipNode


def _block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    self.body.append(_mathml(node, True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer, for `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
