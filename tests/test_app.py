"""Tests of the page's server, in a process of its own over real connections."""

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
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier

from skmnist import read_digits
from skmnist.app import serve

# Left out on other Pythons.
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server():
    with serving() as process:
        yield process
        assert process.poll() is None


@pytest.fixture(scope="module")
def pages(digits):
    """Return pages of two text lines of digits, dark on light."""
    (images, _), pages = digits[1], []
    for start in range(0, 30, 5):
        page = np.full((200, 300), 255, np.uint8)
        for i, image in enumerate(images[start : start + 5]):
            top, left = (20, 20 + 90 * i) if i < 3 else (120, 20 + 90 * (i - 3))
            large = np.asarray(Image.fromarray(image).resize((56, 56)))
            page[top : top + 56, left : left + 56] -= large
        pages.append(page)
    return pages


# Answers


def test_page_is_one_file_that_fetches_nothing(server):
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


def test_answers_are_isolated_to_the_page(server):
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


@pytest.mark.parametrize("page", range(2))
def test_read_answers_with_the_reading(server, pages, page):
    status, answer = read(server, as_png(pages[page]))
    assert status == 200
    assert answer == json.loads(json.dumps(read_digits(pages[page]).to_dict()))
    assert len(answer["digits"]) == 5


def test_read_blank_picture_is_empty(server):
    status, answer = read(server, as_png(np.full((50, 80), 255, np.uint8)))
    assert (status, answer["text"], answer["digits"]) == (200, "", [])
    assert (answer["width"], answer["height"]) == (80, 50)


def test_read_concurrent_requests_are_independent(server, pages):
    pictures = [as_png(page) for page in pages]
    alone = [read(server, picture) for picture in pictures]
    assert len({answer["text"] for _, answer in alone}) > 1
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(read, [server] * 36, pictures * 6))
    assert together == alone * 6


@pytest.mark.process
def test_serve_other_model_is_used():
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
    assert answer["text"] == "zero zero"


# Rejected requests


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
def test_requests_of_other_pages_are_rejected(server, pages, host, origin, status):
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    found = ask(server, "POST", "/read", as_png(pages[0]), **headers)
    assert found[0] == status
    assert ("error" in json.loads(found[2])) == (status == 403)
    assert ask(server, "GET", "/", **headers)[0] == status


def test_read_large_body_is_rejected_unread(server, pages):
    # With a Content-Length, and not sent.
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as asking:
        asking.sendall(
            b"POST /read HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 20971521\r\n\r\n"
        )
        assert asking.recv(99).startswith(b"HTTP/1.1 413 ")
    # Without a Content-Length.
    memory = psutil.Process(server.pid).memory_info().rss
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection), contextlib.suppress(BrokenPipeError):
        connection.request("POST", "/read", zeros(400 * MB), encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 413
        assert "20 MB" in json.loads(response.read())["error"]
    assert psutil.Process(server.pid).memory_info().rss < memory + 100 * MB
    assert goes_on(server, pages)


def test_read_body_of_20_mb_is_read(server, pages):
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
def test_read_body_that_is_not_a_picture_is_rejected(server, pages, body):
    status, answer = read(server, body)
    assert status == 415
    assert answer["error"]
    assert "Traceback" not in answer["error"]
    assert goes_on(server, pages)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/read", 405), ("POST", "/", 405), ("GET", "/../server.py", 404)],
)
def test_other_requests_are_rejected(server, method, path, status):
    found = ask(server, method, path)
    assert found[0] == status
    assert json.loads(found[2])["error"]


def test_broken_requests_leave_the_server_running(server, pages):
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


# A classifier that takes a minute for a picture, except for the first ones.
SLOW = """
import time
from skmnist import load_pretrained
from skmnist.app import serve, server

server.DEADLINE = 2
model = load_pretrained()

class Slow:
    classes_, calls = model.classes_, 0

    def predict_proba(self, X):
        Slow.calls += 1
        if 1 < Slow.calls < 4:
            time.sleep(20)
        return model.predict_proba(X)

serve(Slow(), port=0, open_browser=False)
"""


def test_read_slow_pictures_do_not_block_others(pages):
    with serving(SLOW) as server, ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(read, server, as_png(pages[0])) for _ in range(2)]
        time.sleep(0.5)
        assert ask(server, "GET", "/")[0] == 200
        assert goes_on(server, pages)  # after the deadline of the others
        for future in slow:
            status, answer = future.result()
            assert status == 503
            assert answer["error"] == "Reading this picture takes more than 2 seconds."


# Start and end


@pytest.mark.parametrize("when", ["idle", "connected", "sending", "reading"])
def test_serve_interrupted_ends_without_output(pages, when):
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


def test_serve_port_in_use_raises(server):
    code = f"from skmnist.app import serve; serve(port={server.port})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("OSError: ")
    assert f"('127.0.0.1', {server.port})" in last


def test_serve_port_is_free_after_the_end(pages):
    code = SERVE.replace("port=0", "port={}")
    with serving() as server:
        port = server.port
        assert goes_on(server, pages)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)
    with serving(code.format(port)) as server:
        assert server.port == port


def test_serve_opens_the_browser(tmp_path):
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


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_serve_other_arguments_raise():
    for port in (-1, 65536):
        with pytest.raises(ValueError, match=f"from 0 to 65535, got {port}"):
            serve(port=port)
    with pytest.raises(TypeError, match="must be a classifier with predict_proba"):
        serve("model.joblib")
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not"):
        serve(MLPClassifier())
    with pytest.raises(ValueError, match="Found array with dim 3"):
        serve(MLPClassifier(max_iter=1).fit([[0], [1]], [0, 1]))


def test_serve_listens_on_this_machine_only(server):
    (listening,) = [
        connection.laddr
        for connection in psutil.Process(server.pid).net_connections()
        if connection.status == "LISTEN"
    ]
    assert listening == ("127.0.0.1", server.port)


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_import_without_extra_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\nimport skmnist.app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: skmnist.app requires Starlette and uvicorn. You can install them "
        "with `pip install 'skmnist[app]'`."
    )
