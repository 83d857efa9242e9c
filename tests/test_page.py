"""Tests of the page in a real browser: ``pytest -m browser``.

They need Chromium, at ``CHROMIUM`` or in the path, and axe-core's ``axe.min.js``, at
``AXE`` or in ``node_modules``; without, they fail.
"""

import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawing import (
    ONE,
    SEVEN,
    check_boxes,
    draw,
    draw_with_a_finger,
    expect_message,
    expect_text,
    ink,
    on_page,
    upload,
    write_page,
)
from PIL import Image
from playwright.sync_api import sync_playwright
from serving import serving

from skmnist import read_digits

pytestmark = pytest.mark.browser

# No sandbox, since CI runs as root; and no calls to Chromium's maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"desktop": (1200, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def server():
    with serving() as process:
        process.address = f"http://127.0.0.1:{process.port}/"
        yield process


@pytest.fixture(scope="module")
def browser():
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "these tests need Chromium: install it, or set CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe():
    names = (os.environ.get("AXE"), "node_modules/axe-core/axe.min.js")
    found = [name for name in names if name and Path(name).is_file()]
    assert found, "these tests need axe-core: npm install axe-core, or set AXE"
    return found[0]


@pytest.fixture
def visit(server, browser):
    """Return a function that opens the page, and check its requests and errors."""
    contexts, requests, errors = [], [], []

    def open_page(size="desktop", scheme="light", script=None, address=None):
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=size == "phone",
            is_mobile=size == "phone",
            device_scale_factor=2 if size == "phone" else 1,
        )
        contexts.append(context)
        if script:
            context.add_init_script(path=script)
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Chromium is told to report choosers as soon as somebody listens, but not at
        # once: who starts to listen when the key is pressed may miss it.
        page.on("filechooser", lambda chooser: None)
        page.goto(address or server.address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    elsewhere = r"(?!http://127\.0\.0\.1:|blob:http://127\.0\.0\.1:|data:)"
    assert [url for url in requests if re.match(elsewhere, url)] == []


@pytest.fixture(scope="module")
def written():
    return write_page()


# Drawing


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", [draw, draw_with_a_finger])
def test_drawing_is_read(visit, size, how, scheme):
    page = visit(size, scheme)
    expect_text(page, "")
    how(page, SEVEN)
    expect_text(page, "7")
    how(page, ONE)
    expect_text(page, "71")
    assert page.locator("#status").text_content() == "Read: 7 1"
    assert page.evaluate("() => scrollY") == 0  # the finger drew, and did not scroll


def test_cards_show_the_images_that_the_network_sees(visit):
    page = visit()
    draw(page, SEVEN)
    expect_text(page, "7")
    with page.expect_request("**/read") as asked:
        draw(page, ONE)
    expect_text(page, "71")
    seen = page.locator("#cards canvas").evaluate_all(
        "all => all.map(one => Array.from(one.getContext('2d')"
        ".getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0))"
    )
    images = read_digits(io.BytesIO(asked.value.post_data_buffer)).images
    np.testing.assert_array_equal(np.reshape(seen, (-1, 28, 28)), images)
    bars = page.locator(".bars").first.locator("i")
    heights = bars.evaluate_all("all => all.map(bar => bar.clientHeight)")
    assert len(heights) == 10
    assert int(np.argmax(heights)) == 7
    assert (
        page.locator(".bars")
        .first.get_attribute("aria-label")
        .startswith("Probabilities: 7 ")
    )


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_around_the_digits(visit, size):
    page = visit(size)
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    check_boxes(page, SEVEN, ONE)


def test_drawing_stays_visible_when_the_window_changes(visit):
    page = visit()
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    paper = page.locator("#paper").bounding_box()
    for i in range(2):
        box = page.locator("#boxes rect").nth(i).bounding_box()
        assert paper["x"] < box["x"]
        assert box["x"] + box["width"] < paper["x"] + paper["width"]
        # It is drawn where the box is.
        x, y = box["x"] - paper["x"], box["y"] - paper["y"]
        assert ink(page, x, y, box["width"], box["height"]) > 50
    total = ink(page, 0, 0, paper["width"], paper["height"])
    draw(page, [(0.5, 0.05), (0.5, 0.1)])
    assert ink(page, 0, 0, paper["width"], paper["height"]) > total


def pale(page, box):
    """Return how many pixels of ink in a box on the page are pale, and how many not."""
    paper = page.locator("#paper").bounding_box()
    alpha = page.evaluate(
        "([x, y, w, h]) => Array.from(document.getElementById('draw').getContext('2d')"
        ".getImageData(x, y, w, h).data.filter((v, i) => i % 4 === 3 && v > 0))",
        [box[0] - paper["x"], box[1] - paper["y"], *box[2:]],
    )
    return sum(value < 128 for value in alpha), sum(value >= 128 for value in alpha)


def test_signs_are_not_read_and_drawn_pale(visit):
    def stroke(x, y, *points):
        return [(x + dx / 100, y + dy / 100) for dx, dy in points]

    one, plus = stroke(0.08, 0.35, (0, 0), (0, 30)), (0.38, 0.5)
    two = stroke(
        0.14, 0.35, (0, 8), (3, 2), (7, 0), (10, 4), (9, 11), (3, 22), (0, 29), (12, 29)
    )
    seven = stroke(0.52, 0.35, (0, 0), (12, 0), (4, 30))
    signs = (
        stroke(*plus, (-7, 0), (7, 0)),
        stroke(*plus, (0, -7), (0, 7)),
        stroke(0.75, 0.46, (0, 0), (12, 0)),
        stroke(0.75, 0.54, (0, 0), (12, 0)),
    )
    page = visit()
    draw(page, one, two, *signs[:2], seven, *signs[2:])
    expect_text(page, "127")
    assert page.locator("#boxes rect").count() == 3
    for i in range(3):
        box = page.locator("#boxes rect").nth(i).bounding_box()
        few, many = pale(page, [box["x"], box["y"], box["width"], box["height"]])
        assert few < many / 4  # the soft edges of strokes
    (left, top), (right, bottom) = on_page(page, [(0.73, 0.4), (0.9, 0.6)])
    found, dark = pale(page, [left, top, right - left, bottom - top])
    assert (found > 100, dark) == (True, 0)


@pytest.mark.parametrize(
    "sizes",
    [((390, 844), (844, 390)), ((900, 800), (1400, 800)), ((1400, 800), (600, 800))],
)
def test_strokes_next_to_the_old_frame_are_read(visit, sizes):
    page = visit()
    (width, height), (new_width, new_height) = sizes
    page.set_viewport_size({"width": width, "height": height})
    draw(page, SEVEN)
    expect_text(page, "7")
    page.set_viewport_size({"width": new_width, "height": new_height})
    page.wait_for_timeout(300)
    draw(page, [(0.95, 0.25), (0.95, 0.75)])
    expect_text(page, "71")
    check_boxes(page, None, [(0.95, 0.25), (0.95, 0.75)])
    # The whole drawing is visible, also where the paper is smaller again.
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(300)
    paper = page.locator("#paper").bounding_box()
    for i in range(2):
        box = page.locator("#boxes rect").nth(i).bounding_box()
        assert paper["x"] < box["x"]
        assert box["x"] + box["width"] < paper["x"] + paper["width"]


# Undo and clear


def test_undo_and_clear_step_by_step(visit, written):
    page = visit()
    undo, clear = page.locator("#undo"), page.locator("#clear")
    assert undo.get_attribute("aria-disabled") == "true"
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    undo.click()
    expect_text(page, "7")
    draw(page, ONE)
    expect_text(page, "71")
    clear.click()
    expect_text(page, "")
    assert clear.get_attribute("aria-disabled") == "true"
    assert page.locator("#cards li").count() == 0
    assert page.locator("#boxes rect").count() == 0
    upload(page, written)
    expect_text(page, "704\n174")
    draw(page, ONE)  # on a new sheet
    expect_text(page, "1")
    for text in ("704\n174", "", "71", "7", ""):
        undo.click()
        expect_text(page, text)
    assert undo.get_attribute("aria-disabled") == "true"
    assert page.locator("#hint").is_visible()


@pytest.mark.parametrize("key", ["Escape", "Delete", "Backspace"])
def test_undo_and_clear_by_keyboard(visit, key):
    page = visit()
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    page.keyboard.press(key)
    expect_text(page, "")
    for text in ("71", "7", "", ""):
        page.keyboard.press("Control+z")
        expect_text(page, text)


def test_buttons_are_reached_by_keyboard(visit):
    page = visit()
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(page.evaluate("() => document.activeElement.textContent"))
    assert names == ["Undo", "Clear", "Open picture"]
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


# Pictures


@pytest.mark.parametrize("size", SIZES)
def test_picture_is_read(visit, written, size):
    page = visit(size)
    upload(page, written)
    expect_text(page, "704\n174")
    assert page.locator("#boxes rect").count() == 6
    assert page.locator("#cards li").count() == 6
    picture, paper = (
        page.locator(name).bounding_box() for name in ("#picture", "#paper")
    )
    assert picture["height"] == pytest.approx(paper["height"], abs=3)
    # Where each box lies on the picture, which is fitted into the paper.
    scale = min(picture["width"] / 420, picture["height"] / 360)
    left = picture["x"] + (picture["width"] - 420 * scale) / 2
    top = picture["y"] + (picture["height"] - 360 * scale) / 2
    for i, (x, y) in enumerate([(60, 40), (180, 40), (300, 40)]):
        box = page.locator("#boxes rect").nth(i).bounding_box()
        assert box["x"] == pytest.approx(left + x * scale, abs=14)
        assert box["y"] == pytest.approx(top + y * scale, abs=14)


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_picture_is_dropped_or_pasted(visit, written, kind):
    page = visit()
    page.evaluate(
        """([kind, bytes]) => {
            const data = new DataTransfer(), type = "image/png";
            data.items.add(new File([new Uint8Array(bytes)], "a.png", {type}));
            const event = kind === "drop"
                ? new DragEvent(kind, {dataTransfer: data, cancelable: true})
                : new ClipboardEvent(kind, {clipboardData: data});
            document.dispatchEvent(event);
        }""",
        [kind, list(written)],
    )
    expect_text(page, "704\n174")


def test_photo_button_is_on_phones_only(visit, written):
    assert not visit("desktop").locator("#photo").is_visible()
    page = visit("phone")
    with page.expect_file_chooser() as chooser:
        page.locator("#photo").tap()
    picture = {"name": "photo.png", "mimeType": "image/png", "buffer": written}
    chooser.value.set_files(picture)
    expect_text(page, "704\n174")


def test_picture_that_cannot_be_read_keeps_the_drawing(visit, tmp_path):
    page = visit()
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    file = tmp_path / "digits.txt"
    for data, reason in (
        (b"text", "not a picture"),
        (bytes(21 * 2**20), "larger than 20 MB"),
    ):
        file.write_bytes(data)
        page.set_input_files("#file", file)
        expect_message(page, reason)
        assert reason in page.locator("#status").text_content()
        expect_text(page, "71")
    draw(page, SEVEN)  # over the first one
    page.locator("#message").wait_for(state="hidden")
    expect_text(page, "71")


def test_picture_without_digits_has_a_message(visit):
    page = visit()
    file = io.BytesIO()
    Image.new("L", (80, 60), 255).save(file, "PNG")
    upload(page, file.getvalue())
    expect_message(page, "No digit was found")


def test_old_sheets_are_forgotten_except_the_shown_one(visit):
    page = visit()
    act = (
        "() => { for (let i = 0; i < 200; i++)"
        " act({points: [[i, 9]], frame: [0, 0, 200, 200]}); }"
    )
    count = "() => actions.length"
    for _ in range(3):
        page.evaluate(act)
        page.keyboard.press("Escape")
        assert page.evaluate(count) <= 301
    for _ in range(2):
        page.evaluate(act)
    assert page.evaluate("() => onPaper().strokes.length") == 400
    page.keyboard.press("Control+z")
    assert page.evaluate(count) == 399


# Errors


def test_latest_answer_counts(visit):
    page = visit()
    held = []

    def hold(route):
        held.append(route)
        if len(held) == 2:
            route.continue_()

    page.route("**/read", hold)
    # Even if the browser could not abort a request.
    page.evaluate("() => { AbortController.prototype.abort = () => {}; }")
    draw(page, SEVEN)
    draw(page, ONE)
    expect_text(page, "71")
    with page.expect_response("**/read"):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect_text(page, "71")


def test_missing_server_has_a_message(visit):
    with serving() as server:
        page = visit(address=f"http://127.0.0.1:{server.port}/")
        draw(page, SEVEN)
        expect_text(page, "7")
        server.kill()
        server.wait()
        draw(page, ONE)
        expect_message(page, "does not answer")


def test_reloading_clears_the_paper(visit):
    page = visit()
    for _ in range(8):
        draw(page, SEVEN)
        page.reload()
    expect_text(page, "")
    draw(page, SEVEN, ONE)
    expect_text(page, "71")


# Accessibility


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_accessibility(visit, axe, written, size, scheme):
    page = visit(size, scheme, script=axe)

    def check():
        found = page.evaluate("() => axe.run()")
        assert len(found["passes"]) > 10
        assert [
            (rule["id"], [node["html"] for node in rule["nodes"]])
            for rule in found["violations"]
        ] == []

    check()
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    check()
    upload(page, written)
    expect_text(page, "704\n174")
    check()
    upload(page, b"text", "digits.txt", "text/plain")
    expect_message(page, "not a picture")
    check()


@pytest.mark.parametrize("size", SIZES)
def test_page_is_not_wider_than_the_screen(visit, written, size):
    page = visit(size)
    for act in (lambda: None, lambda: draw(page, SEVEN), lambda: upload(page, written)):
        act()
        page.wait_for_timeout(300)
        wide = "() => document.documentElement.scrollWidth"
        assert page.evaluate(wide) <= SIZES[size][0]


def test_low_confidence_is_marked(visit):
    page = visit()

    def doubt(route):
        response = route.fetch()
        answer = response.json()
        answer["digits"][-1]["confidence"] = 0.1
        route.fulfill(response=response, json=answer)

    page.route("**/read", doubt)
    draw(page, SEVEN, ONE)
    expect_text(page, "71")
    for name in ("#digits .unsure", "#boxes .unsure text", ".card.unsure b"):
        assert page.locator(name).all_text_contents() == ["1"]
    assert page.locator(".card.unsure span").text_content() == "10\u00a0%, unsure"
