"""Tests of the page's server: a real process, asked over real connections."""

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from PIL import Image
from serving import MB, SERVE, as_png, ask, goes_on, read, serving, zeros

from skmnist import find_digits, load_pretrained


@pytest.fixture(scope="module")
def server():
    with serving() as process:
        yield process
        assert process.poll() is None


@pytest.fixture(scope="module")
def pages(digits):
    """Return pages of two lines of digits, dark on light."""
    (images, _), pages = digits[1], []
    for start in range(0, 30, 5):
        page = np.full((200, 300), 255, np.uint8)
        for i, image in enumerate(images[start : start + 5]):
            top, left = (20, 20 + 90 * i) if i < 3 else (120, 20 + 90 * (i - 3))
            large = np.asarray(Image.fromarray(image).resize((56, 56)))
            page[top : top + 56, left : left + 56] -= large
        pages.append(page)
    return pages


# What it answers


def test_the_page_is_one_file_that_fetches_nothing(server):
    status, headers, body = ask(server, "GET", "/")
    html = body.decode()
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert 'id="draw"' in html
    assert 'id="digits"' in html
    for attribute in ("src=", "href="):
        for value in html.split(attribute)[1:]:
            assert value.startswith(('"data:', '"#')), value[:60]
    assert "@import" not in html
    assert "url(" not in html


def test_every_answer_is_kept_to_the_page(server):
    for method, path, host in (
        ("GET", "/", "localhost"),
        ("GET", "/no", "localhost"),
        ("POST", "/read", "localhost"),
        ("GET", "/", "example.org"),
    ):
        _, headers, _ = ask(server, method, path, Host=host)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "connect-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("page", range(3))
def test_a_picture_is_read_as_the_package_reads_it(server, pages, page):
    model = load_pretrained()
    status, answer = read(server, as_png(pages[page]))
    digits = find_digits(pages[page], estimator=model)
    probabilities = model.predict_proba(digits.images)
    labels = model.classes_[probabilities.argmax(axis=1)]
    assert status == 200
    assert (answer["width"], answer["height"]) == (300, 200)
    assert answer["classes"] == list("0123456789")
    lines = [labels[digits.lines == n] for n in range(2)]
    assert answer["lines"] == ["".join(map(str, line)) for line in lines]
    found = answer["digits"]
    assert [digit["label"] for digit in found] == list(map(str, labels))
    for key, expected in (
        ("box", digits.boxes),
        ("line", digits.lines),
        ("image", digits.images),
    ):
        np.testing.assert_array_equal([digit[key] for digit in found], expected)
    np.testing.assert_allclose(
        [digit["probabilities"] for digit in found], probabilities, rtol=0, atol=1e-5
    )


def test_boxes_are_in_pixels_of_the_upright_picture(server, pages):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    large = Image.fromarray(pages[0]).resize((3000, 2000))
    file = io.BytesIO()
    large.rotate(90, expand=True).save(file, "JPEG", exif=exif)
    _, answer = read(server, file.getvalue())
    assert (answer["width"], answer["height"]) == (3000, 2000)
    boxes = np.array([digit["box"] for digit in answer["digits"]])
    expected = find_digits(pages[0]).boxes
    np.testing.assert_allclose(boxes / 10, expected, atol=4)


def test_a_picture_without_digits(server):
    status, answer = read(server, as_png(np.full((50, 80), 255, np.uint8)))
    assert status == 200
    assert (answer["lines"], answer["digits"]) == ([], [])


def test_requests_at_the_same_time_do_not_mix(server, pages):
    pictures = [as_png(page) for page in pages]
    alone = [read(server, picture) for picture in pictures]
    assert len({str(answer["lines"]) for _, answer in alone}) > 1
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(read, [server] * 36, pictures * 6))
    assert together == alone * 6


def test_a_model_of_ones_own():
    code = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skmnist import flatten_and_scale, load_digits_28x28
from skmnist.app import serve

(X, y), _ = load_digits_28x28(random_state=0)
names = np.where(y == 0, "zero", "other")
model = make_pipeline(FunctionTransformer(flatten_and_scale), LogisticRegression())
serve(model.fit(X, names), port=0, open_browser=False)
"""
    page = np.full((100, 200), 255, np.uint8)
    y, x = np.mgrid[:100, :200]
    for centre in (50, 150):
        radius = np.hypot((y - 50) / 1.3, x - centre)
        page[(radius > 20) & (radius < 26)] = 0
    with serving(code) as server:
        _, answer = read(server, as_png(page))
    assert answer["classes"] == ["other", "zero"]
    assert answer["lines"] == ["zero zero"]


# What it refuses


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1", None, 200),
        ("localhost", None, 200),
        ("localhost:8888", "http://localhost:8888", 200),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("example.org", None, 403),
        ("127.0.0.1.example.org", None, 403),
        ("example.org@127.0.0.1", None, 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "http://localhost:8000", 403),
        ("127.0.0.1:8000", "https://127.0.0.1:8000", 403),
        ("127.0.0.1:8000", "https://example.org", 403),
        ("127.0.0.1:8000", "null", 403),
        ("", None, 403),
    ],
)
def test_only_the_page_itself_may_ask(server, pages, host, origin, status):
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    found = ask(server, "POST", "/read", as_png(pages[0]), **headers)
    assert found[0] == status
    assert ("error" in json.loads(found[2])) == (status == 403)
    assert ask(server, "GET", "/", **headers)[0] == status


def test_what_is_too_large_is_refused_unread(server, pages):
    # Announced, and not sent.
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as asking:
        asking.sendall(
            b"POST /read HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 20971521\r\n\r\n"
        )
        assert asking.recv(99).startswith(b"HTTP/1.1 413 ")
    # Not announced.
    memory = psutil.Process(server.pid).memory_info().rss
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection), contextlib.suppress(BrokenPipeError):
        connection.request("POST", "/read", zeros(400 * MB), encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 413
        assert "20 MB" in json.loads(response.read())["error"]
    assert psutil.Process(server.pid).memory_info().rss < memory + 100 * MB
    assert goes_on(server, pages)


def test_what_is_just_small_enough_is_taken(server, pages):
    # A PNG ends with its last chunk, whatever follows.
    body = as_png(pages[0]).ljust(20 * MB, b"\0")
    assert read(server, body)[0] == 200
    assert read(server, body + b"\0")[0] == 413


def not_pictures():
    noise = np.random.default_rng(0).bytes(100_000)
    yield "nothing", b""
    yield "text", b"These are the digits 7 and 1."
    yield "noise", noise
    yield "noise after a PNG's first bytes", b"\x89PNG\r\n\x1a\n" + noise
    yield "noise after a JPEG's first bytes", b"\xff\xd8\xff\xe0" + noise
    yield "a cut PNG", as_png(np.frombuffer(noise, np.uint8).reshape(100, -1))[:50_000]
    wide = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(wide, "PNG")
    yield "a huge picture", wide.getvalue()


@pytest.mark.parametrize(
    "body", [pytest.param(body, id=name) for name, body in not_pictures()]
)
def test_what_is_no_picture_is_refused(server, pages, body):
    status, answer = read(server, body)
    assert status == 415
    assert answer["error"]
    assert "Traceback" not in answer["error"]
    assert goes_on(server, pages)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/read", 405), ("POST", "/", 405), ("GET", "/../server.py", 404)],
)
def test_other_requests_are_refused(server, method, path, status):
    found = ask(server, method, path)
    assert found[0] == status
    assert json.loads(found[2])["error"]


def test_broken_requests_do_no_harm(server, pages):
    generator = np.random.default_rng(0)
    for sent in (
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nshort",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        *(generator.bytes(1000) for _ in range(20)),
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
    assert goes_on(server, pages)


def test_nothing_is_left_behind_by_many_visits(server, pages):
    process, picture = psutil.Process(server.pid), as_png(pages[0])

    def visit(times):
        for _ in range(times):
            ask(server, "GET", "/")
            read(server, picture)

    visit(40)  # what is allocated once
    memory = process.memory_info().rss
    visit(100)
    assert process.memory_info().rss < memory + 10 * MB
    deadline = time.monotonic() + 20
    while any(c.status != "LISTEN" for c in process.net_connections()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


# How it starts and ends


@pytest.mark.parametrize("when", ["idle", "connected", "sending", "reading"])
def test_ctrl_c_ends_it_quietly(pages, when):
    with serving() as server, contextlib.ExitStack() as stack:
        if when != "idle":
            address = ("127.0.0.1", server.port)
            asking = stack.enter_context(socket.create_connection(address))
        if when == "sending":
            asking.sendall(
                b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            )
        if when == "reading":
            noise = np.random.default_rng(0).integers(0, 255, (1200, 1200), np.uint8)
            body = as_png(noise)
            head = (
                f"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}"
            )
            asking.sendall(head.encode() + b"\r\n\r\n" + body)
        time.sleep(0.2)
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out, err) == (0, "", "")


def test_a_taken_port_is_said(server):
    code = f"from skmnist.app import serve; serve(port={server.port})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"OSError: Port {server.port} on 127.0.0.1 cannot be used")
    assert "give another port, or 0 for any that is free" in last


def test_the_port_is_free_again_at_once(pages):
    code = SERVE.replace("port=0", "port={}")
    with serving() as server:
        port = server.port
        assert goes_on(server, pages)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    with serving(code.format(port)) as server:
        assert server.port == port


def test_the_browser_is_opened_with_the_address(tmp_path):
    script, seen = tmp_path / "browser.py", tmp_path / "seen"
    script.write_text(
        "import sys, urllib.request\n"
        "page = urllib.request.urlopen(sys.argv[1]).read()\n"
        f"open({str(seen)!r}, 'w').write(f'{{sys.argv[1]}} {{len(page)}}')\n"
    )
    environment = os.environ | {"BROWSER": f"{sys.executable} {script} %s"}
    code = "from skmnist.app import serve; serve(port=0)"
    with serving(code, env=environment) as server:
        deadline = time.monotonic() + 20
        while not (seen.exists() and seen.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address, length = seen.read_text().split()
    assert address == f"http://127.0.0.1:{server.port}"
    assert int(length) > 1000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("port=-1", "ValueError: port must be from 0 to 65535, got -1."),
        ("port=65536", "ValueError: port must be from 0 to 65535, got 65536."),
        (
            "'model.joblib'",
            "TypeError: model must be a classifier with predict_proba, ",
        ),
        ("MLPClassifier()", "NotFittedError: This MLPClassifier instance is not "),
        ("MLPClassifier(max_iter=1).fit([[0], [1]], [0, 1])", "ValueError: Found arr"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(arguments, error):
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from sklearn.neural_network import MLPClassifier\n"
        "from skmnist.app import serve\n"
        f"serve({arguments})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert error in done.stderr.splitlines()[-1]


def test_only_this_machine_can_connect(server):
    (listening,) = [
        connection.laddr
        for connection in psutil.Process(server.pid).net_connections()
        if connection.status == "LISTEN"
    ]
    assert listening == ("127.0.0.1", server.port)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\nimport skmnist.app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: skmnist.app requires Starlette and uvicorn. You can install them "
        "with `pip install 'skmnist[app]'`."
    )


def test_serving_takes_no_tensorflow(server):
    mapped = {
        os.path.basename(file.path) for file in psutil.Process(server.pid).memory_maps()
    }
    assert not any("tensorflow" in name for name in mapped)
