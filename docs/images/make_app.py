"""Take app.png and app_dark.png, screenshots of the page of ``skmnist app``.

The script draws digits on the page with the mouse. It needs Playwright and Chromium.

    python docs/images/make_app.py
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from playwright.sync_api import expect, sync_playwright
from scipy.interpolate import make_interp_spline

HERE = Path(__file__).parent
SERVE = "from skmnist.app import serve; serve(port=0, open_browser=False)"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
# Points of each stroke, in fractions of the drawing area.
STROKES = [
    [(0.11, 0.31), (0.21, 0.3), (0.32, 0.31)],
    [(0.32, 0.31), (0.25, 0.48), (0.2, 0.71)],
    [(0.6, 0.36), (0.54, 0.3), (0.46, 0.37), (0.5, 0.47), (0.6, 0.38)],
    [(0.6, 0.36), (0.6, 0.5), (0.56, 0.71)],
    [(0.75, 0.37), (0.82, 0.29), (0.89, 0.38), (0.83, 0.54), (0.74, 0.69)],
    [(0.74, 0.69), (0.84, 0.68), (0.94, 0.69)],
]


def draw(page):
    """Draw the strokes as smooth curves."""
    paper = page.locator("#draw").bounding_box()

    def at(x, y):
        return paper["x"] + x * paper["width"], paper["y"] + y * paper["height"]

    for stroke in STROKES:
        curve = make_interp_spline(range(len(stroke)), stroke, k=2)
        points = curve(np.linspace(0, len(stroke) - 1, 30)).tolist()
        page.mouse.move(*at(*points[0]))
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*at(*point))
        page.mouse.up()
    expect(page.locator("#digits")).to_have_text("792")


def main():
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True
    )
    try:
        take(server.stdout.readline().split()[1])
    finally:
        server.terminate()


def take(address):
    """Draw on the page and take a screenshot in each colour scheme."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS
        )
        for scheme, name in (("light", "app.png"), ("dark", "app_dark.png")):
            page = browser.new_page(
                viewport={"width": 1000, "height": 600}, color_scheme=scheme
            )
            page.goto(address)
            draw(page)
            page.mouse.move(0, 0)
            page.wait_for_timeout(300)
            page.screenshot(path=HERE / name)


if __name__ == "__main__":
    main()
