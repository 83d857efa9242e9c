"""Formulas as MathML, which browsers render without scripts or downloads."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def show_formula(translator, node):
    """Write the formula instead of its node."""
    block = node.tagname == "math_block"
    formula = tex2mathml(node.astext(), as_block=block)
    translator.body.append(f'<div class="math">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def setup(app):
    renderer = (show_formula, None)
    app.add_html_math_renderer("mathml", renderer, renderer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
