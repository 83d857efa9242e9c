"""Drawing on the page in a browser, and checks of what it shows."""

import io
import itertools
import re

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import expect

# In fractions of the paper.
SEVEN = [(0.15, 0.3), (0.4, 0.3), (0.25, 0.75)]
ONE = [(0.7, 0.28), (0.7, 0.75)]


def on_page(page, points):
    """Return fractions of the paper as coordinates of the page."""
    box = page.locator("#draw").bounding_box()
    return [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points
    ]


def draw(page, *strokes):
    for stroke in strokes:
        first, *others = on_page(page, stroke)
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=8)
        page.mouse.up()


def draw_with_a_finger(page, *strokes):
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        points = [{"x": x, "y": y} for x, y in points]
        arguments = {"type": kind, "touchPoints": points}
        session.send("Input.dispatchTouchEvent", arguments)

    for stroke in strokes:
        points = on_page(page, stroke)
        touch("touchStart", points[0])
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for t in np.linspace(0, 1, 8)[1:].tolist():
                touch("touchMove", (x0 + t * (x1 - x0), y0 + t * (y1 - y0)))
        touch("touchEnd")
    session.detach()


def expect_text(page, text):
    """Wait until exactly this text is shown."""
    lines = r"\s*".join(map(re.escape, text.split("\n")))
    expect(page.locator("#digits")).to_have_text(re.compile(f"^{lines}$"))
    assert page.locator("#digits").text_content() == text


def expect_message(page, pattern):
    expect(page.locator("#message")).to_have_text(re.compile(pattern))


def write_page():
    """Return a PNG of two text lines, ``704`` and ``174``."""
    shapes = {
        "7": [(0, 0), (60, 0), (20, 100)],
        "1": [(30, 0), (30, 100)],
        "4": [(45, 0), (0, 65), (65, 65)],
    }
    image = Image.new("RGB", (420, 360), "#f4efe0")
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(("704", "174")):
        for column, digit in enumerate(line):
            left, top = 60 + 120 * column, 40 + 170 * row
            if digit == "0":
                pen.ellipse((left, top, left + 60, top + 100), outline="#223", width=9)
                continue
            points = [(left + x, top + y) for x, y in shapes[digit]]
            pen.line(points, "#223", 9, joint="curve")
            if digit == "4":
                pen.line([(left + 45, top), (left + 45, top + 105)], "#223", 9)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def upload(page, data, name="page.png", mime="image/png"):
    page.set_input_files("#file", {"name": name, "mimeType": mime, "buffer": data})


def check_boxes(page, *strokes):
    """Compare the boxes on the screen with the strokes drawn, except where None."""
    boxes = page.locator("#boxes rect")
    assert boxes.count() == len(strokes)
    for i, stroke in enumerate(strokes):
        if stroke is None:
            continue
        box = boxes.nth(i).bounding_box()
        points = np.array(on_page(page, stroke))
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        # Half the width of a stroke, and the space around it.
        assert 0 < left - box["x"] < 20
        assert 0 < top - box["y"] < 20
        assert 0 < box["x"] + box["width"] - right < 20
        assert 0 < box["y"] + box["height"] - bottom < 20


def ink(page, *part):
    """Count the pixels with ink in a part of the canvas."""
    return page.evaluate(
        "([x, y, w, h]) => document.getElementById('draw').getContext('2d')"
        ".getImageData(x, y, w, h).data.filter((v, i) => i % 4 === 3 && v > 0).length",
        list(part),
    )
