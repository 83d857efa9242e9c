"""A server of the page in a process of its own, and requests to it."""

import contextlib
import http.client
import io
import json
import subprocess
import sys

from PIL import Image

SERVE = "from skmnist.app import serve; serve(port=0, open_browser=False)"

MB = 2**20


@contextlib.contextmanager
def serving(code=SERVE, **options):
    """Run a server, and return its process with its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        line = process.stdout.readline()
        if not line.startswith("skmnist: http://127.0.0.1:"):
            process.kill()
            raise AssertionError(line + process.stderr.read())
        process.port = int(line.split("127.0.0.1:")[1].split()[0])
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(server, method, path, body=None, *, chunked=False, **headers):
    """Send a request, and return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names, encode_chunked=chunked)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def read(server, picture):
    """Send a picture to be read, and return status and answer."""
    status, headers, body = ask(server, "POST", "/read", picture)
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(body)


def as_png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def goes_on(server, pages):
    """Return whether a server still reads."""
    status, answer = read(server, as_png(pages[0]))
    return status == 200 and len(answer["digits"]) == 5


def zeros(total):
    for _ in range(total // MB):
        yield bytes(MB)
