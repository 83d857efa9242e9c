"""Measure the time from a stroke to the digits that the web page shows.

python examples/benchmarks/page.py --strokes 20

A browser draws a 7 and a 1, clears the page and repeats. The page itself measures the
time from the end of each stroke to the new text. Needs Playwright, and Chromium on the
path or at CHROMIUM.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

from playwright.sync_api import expect, sync_playwright

SERVE = "from skmnist.app import serve; serve(port=0, open_browser=False)"
WATCH = """
window.times = [];
addEventListener("pointerup", () => { window.ended = performance.now(); }, true);
addEventListener("DOMContentLoaded", () => {
    new MutationObserver(() => {
        if (document.getElementById("digits").textContent)
            window.times.push(performance.now() - window.ended);
    }).observe(document.getElementById("digits"), {childList: true});
});
"""
SEVEN = [(0.15, 0.3), (0.4, 0.3), (0.25, 0.75)]
ONE = [(0.7, 0.28), (0.7, 0.75)]


def draw(page, stroke):
    box = page.locator("#draw").bounding_box()
    points = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=10)
    page.mouse.up()


def measure(browser, address, size, strokes):
    """Return the time of each stroke in milliseconds."""
    page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
    page.add_init_script(WATCH)
    page.goto(address)
    # The first strokes load the model and are not counted.
    for _ in range(strokes // 2 + 1):
        for stroke, text in ((SEVEN, "7"), (ONE, "71")):
            draw(page, stroke)
            expect(page.locator("#digits")).to_have_text(text)
        page.keyboard.press("Escape")
    times = page.evaluate("() => window.times")[2:]
    page.close()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=20)
    strokes = parser.parse_args().strokes
    with open("/proc/cpuinfo") as info:
        names = [line.split(":")[1] for line in info if line.startswith("model name")]
    print(f"{names[0].strip()}, {os.cpu_count()} cores, {platform.platform()}")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True
    )
    address = re.search(r"http://\S+", server.stdout.readline())[0]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            for size in ((1200, 800), (390, 844)):
                times = measure(browser, address, size, strokes)
                print(
                    f"{size[0]:4d} x {size[1]}: {len(times)} strokes, median "
                    f"{statistics.median(times):.0f} ms, {min(times):.0f} to "
                    f"{max(times):.0f} ms"
                )
            print(f"Chromium {browser.version}")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
