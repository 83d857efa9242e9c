"""Diagrams of the architecture, drawn as inline SVG: no program and no script needed.

``module-map`` draws the modules of the package and their imports, found in its source.
``flow`` draws a chain of boxes. Each line of its content is a box, ``name -- text``, or
the label of an arrow, ``| text``.
"""

import ast
import itertools
import textwrap
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

import skmnist

PACKAGE = Path(skmnist.__file__).parent
CHARACTER = 7.3  # width in pixels, on average
IGNORED = ("__init__", "__main__", "_version")


def find_imports():
    """Return a dict from each module to the modules that it imports."""
    names = {
        path.stem if path.is_file() else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    imports = {name: set() for name in sorted(names - set(IGNORED))}
    for path in PACKAGE.rglob("*.py"):
        importer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if importer in imports:
            found = _imported(ast.parse(path.read_text(encoding="utf-8")))
            imports[importer] |= (found & set(imports)) - {importer}
    return imports


def _imported(tree):
    """Return the modules of skmnist that a syntax tree imports, not only for types."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            found |= _imported(node)
            continue
        parts = [name.split(".") for name in dotted]
        found |= {p[1] for p in parts if p[0] == "skmnist" and len(p) > 1}
    return found


def reduce_imports(imports):
    """Return the levels of modules, and the imports that do not follow from others."""
    reached = {}

    def reach(name, path=()):
        if name in path:
            raise ValueError(f"imports in a circle: {' -> '.join((*path, name))}")
        if name not in reached:
            below = [reach(other, (*path, name)) for other in imports[name]]
            reached[name] = imports[name].union(*below)
        return reached[name]

    level = {}
    for name in sorted(imports, key=lambda name: len(reach(name))):
        level[name] = 1 + max((level[other] for other in imports[name]), default=-1)
    direct = {
        name: {
            other
            for other in imports[name]
            if not any(other in reached[between] for between in imports[name])
        }
        for name in imports
    }
    return level, direct


def find_paths(level, direct):
    """Return for each import the points it passes: a module or (import, level)."""
    return [
        (
            name,
            *(((name, other), n) for n in range(level[name] - 1, level[other], -1)),
            other,
        )
        for name, others in direct.items()
        for other in sorted(others)
    ]


def order(level, paths):
    """Return the rows of points, from the top, ordered so that few arrows cross."""
    rows = [[] for _ in range(max(level.values()) + 1)]
    near = {name: [] for name in level}
    for name in sorted(level):
        rows[-1 - level[name]].append(name)
    for path in paths:
        for point in path[1:-1]:
            rows[-1 - point[1]].append(point)
        for above, below in itertools.pairwise(path):
            near.setdefault(above, []).append(below)
            near.setdefault(below, []).append(above)
    for _ in range(30):
        for row in itertools.chain(rows, reversed(rows)):
            at = {p: (n + 0.5) / len(row) for row in rows for n, p in enumerate(row)}
            middle = {
                p: sum(at[q] for q in near[p]) / max(1, len(near[p])) for p in row
            }
            row.sort(key=middle.get)
    return rows


def draw_map():
    """Return the map of the modules as SVG."""
    level, direct = reduce_imports(find_imports())
    paths = find_paths(level, direct)
    rows = order(level, paths)
    width, step, height = 760, 70, 30
    places, wide = {}, {}
    for number, row in enumerate(rows):
        for point in row:
            is_box = isinstance(point, str)
            wide[point] = CHARACTER * len(point) + 24 if is_box else 8
        gap = (width - sum(wide[point] for point in row)) / len(row)
        x = gap / 2
        for point in row:
            places[point] = x + wide[point] / 2, 8 + step * number
            x += wide[point] + gap
    parts = []
    for path in paths:
        x, y = places[path[0]]
        curve, y = f"M{x:.0f} {y + height}", y + height
        for point in path[1:]:
            to_x, to_y = places[point]
            end = to_y - 3
            bend = (end - y) / 2
            curve += (
                f" C{x:.0f} {y + bend:.0f} {to_x:.0f} {end - bend:.0f} {to_x:.0f} {end}"
            )
            if not isinstance(point, str):
                curve += f" V{to_y + height}"
            x, y = to_x, to_y + height
        parts.append(f'<path class="arrow" d="{curve}"/>')
    for name in level:
        x, y = places[name]
        parts.append(_box(x - wide[name] / 2, y, wide[name], height))
        parts.append(_text(x, y + 20, name, "name"))
    return _svg(width, step * len(rows) - 25, parts, "Modules and their imports")


def draw_flow(lines, title):
    """Return a chain of boxes as SVG."""
    parts, y, width, arrow = [], 4, 460, 60
    for number, line in enumerate(lines):
        if line.startswith("|"):
            parts.append(_text(arrow + 12, y + 19, line[1:].strip(), "label"))
        if line.startswith("|") and number < len(lines) - 1:
            continue
        if number:
            parts.append(f'<path class="arrow" d="M{arrow} {y} V{y + 27}"/>')
            y += 30
        if line.startswith("|"):
            continue
        name, _, text = line.partition(" -- ")
        rows = textwrap.wrap(text, int((width - 24) / CHARACTER))
        height = 30 + 19 * len(rows)
        parts.append(_box(1, y, width - 2, height))
        parts.append(_text(14, y + 20, name, "name start"))
        for place, row in enumerate(rows):
            parts.append(_text(14, y + 40 + 19 * place, row, "text"))
        y += height
    return _svg(width, y + 4, parts, title)


def _box(x, y, width, height):
    return f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{height}" rx="5"/>'


def _text(x, y, text, kind):
    return f'<text class="{kind}" x="{x:.0f}" y="{y}">{escape(text)}</text>'


def _svg(width, height, parts, title):
    kind = "diagram wide" if width > 500 else "diagram"
    title = escape(title)
    head = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker>'
    )
    return (
        f'<div class="{kind}"><svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' aria-label="{title}" viewBox="0 0 {width} {height}" width="{width}">'
        f"<defs>{head}</defs>{''.join(parts)}</svg></div>"
    )


class ModuleMap(Directive):
    def run(self):
        self.state.document.settings.env.note_dependency(__file__)
        return [nodes.raw("", draw_map(), format="html")]


class Flow(Directive):
    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        lines = " \n".join(self.content).replace(" \n    ", " ").split(" \n")
        svg = draw_flow([line for line in lines if line.strip()], self.arguments[0])
        return [nodes.raw("", svg, format="html")]


def setup(app):
    app.add_directive("module-map", ModuleMap)
    app.add_directive("flow", Flow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
