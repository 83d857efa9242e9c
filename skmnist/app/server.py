"""A server for one user on this machine: a page, and an address that reads pictures.

Any web page may send requests to a server on its visitor's machine, so requests from
other pages are rejected, by the Host and Origin that the browser gives them.
"""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import logging
import re
import socket
import sys
import threading
import webbrowser
from importlib import resources
from typing import Any

import numpy as np

from skmnist.reading import check_estimator, read_digits

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise ImportError(
        "skmnist.app requires Starlette and uvicorn. You can install them with"
        " `pip install 'skmnist[app]'`."
    ) from error

HOST = "127.0.0.1"
# Largest request body, in bytes: more than a phone's photo.
LARGEST_BODY = 20 * 2**20
# Number of pictures read at the same time: each may take hundreds of megabytes.
AT_ONCE = 2
# Seconds after which reading a picture is given up, so that others are read.
DEADLINE = 10


def serve(model: Any = None, *, port: int = 8000, open_browser: bool = True) -> None:
    """Serve the page on this machine until interrupted.

    Nothing leaves the machine: the server listens on 127.0.0.1 only, and the page
    fetches nothing from elsewhere. Its address is printed to standard output.

    Parameters
    ----------
    model : fitted classifier, default=None
        The `estimator` of :func:`~skmnist.read_digits`; None means the bundled model.
    port : int, default=8000
        The port, 0 to 65535; 0 chooses a free one.
    open_browser : bool, default=True
        Whether to open the page in the browser.

    Raises
    ------
    OSError, TypeError, ValueError, NotFittedError
        If the port is in use, or `model` cannot classify images of 28x28 pixels.

    Examples
    --------
    >>> from skmnist.app import serve
    >>> serve(port=0)  # doctest: +SKIP
    skmnist: http://127.0.0.1:40123 (Ctrl-C ends it)
    """
    config = uvicorn.Config(
        make_app(model),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    # A request that is cut off by the end of the server is not an error.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    with _listen(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        print(f"skmnist: {address} (Ctrl-C ends it)", flush=True)
        if open_browser:
            # A thread, because some browsers return only when they are closed.
            threading.Thread(
                target=webbrowser.open, args=(address,), daemon=True
            ).start()
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def make_app(model: Any) -> Starlette:
    """Make the application that :func:`serve` runs.

    ``GET /`` is the page. ``POST /read`` takes a picture as the body of the request and
    returns :meth:`Reading.to_dict() <skmnist.Reading.to_dict>` as JSON. Errors are
    ``{"error": sentence}`` with a status: 403 for another Host or Origin, 413 for a
    body over 20 MB, 415 for a body that is not a picture, 503 for a picture that takes
    too long to read.
    """
    check_estimator(model).predict_proba(np.zeros((1, 28, 28), np.uint8))
    html = resources.files("skmnist.app").joinpath("page.html").read_text("utf-8")
    slots = asyncio.Semaphore(AT_ONCE)

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    async def read(request: Request) -> Response:
        try:
            body = await _receive(request)
        except ClientDisconnect:
            return Response(status_code=400)
        async with slots:
            try:
                answer = await asyncio.wait_for(
                    asyncio.to_thread(_read, model, body), DEADLINE
                )
            except TimeoutError:
                raise HTTPException(
                    503, f"Reading this picture takes more than {DEADLINE} seconds."
                ) from None
        return Response(answer, media_type="application/json")

    return Starlette(
        routes=[Route("/", page), Route("/read", read, methods=["POST"])],
        middleware=[Middleware(_OwnPageOnly, policy=_policy(html))],
        exception_handlers={HTTPException: _answer_error},
    )


def _read(estimator: Any, body: bytes) -> bytes:
    """Read a picture, and return the reading as JSON."""
    try:
        reading = read_digits(io.BytesIO(body), estimator=estimator)
    except (OSError, ValueError) as error:
        raise HTTPException(415, str(error)) from error
    return json.dumps(reading.to_dict(), separators=(",", ":")).encode()


async def _receive(request: Request) -> bytes:
    """Return the body of a request, or raise an error if it is too large."""
    too_large = HTTPException(413, "The picture is larger than 20 MB.")
    if int(request.headers.get("content-length", 0)) > LARGEST_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise too_large
    return bytes(body)


async def _answer_error(request: Request, error: Exception) -> Response:
    """Answer with the error as JSON."""
    assert isinstance(error, HTTPException)
    content = {"error": error.detail}
    return JSONResponse(content, error.status_code, headers=error.headers)


def _policy(html: str) -> str:
    """Return a security policy that allows the page's own script and style only."""
    hashes = {}
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[tag] = f"{tag}-src 'sha256-{digest}'"
    return (
        f"default-src 'none'; {hashes['script']}; {hashes['style']}; "
        "img-src blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class _OwnPageOnly:
    """Middleware that rejects requests of other pages, and isolates the page.

    Host shows a name that resolves to this machine (DNS rebinding), Origin a page of
    another address.
    """

    def __init__(self, app: ASGIApp, policy: str):
        self.app = app
        self.headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # Any port: a tunnel from another machine may use another port.
        own = re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host)
        if own and headers.get("origin", f"http://{host}") == f"http://{host}":
            await self.app(scope, receive, send_with_headers)
            return
        content = {"error": "Only the page itself may ask, at 127.0.0.1 or localhost."}
        await JSONResponse(content, 403)(scope, receive, send_with_headers)


def _listen(port: int) -> socket.socket:
    """Return a socket that listens on the port."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, got {port}.")
    listener = socket.socket()
    if sys.platform != "win32":
        # Else the port stays in use for a minute after the last page was closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OSError(
            f"Port {port} on {HOST} cannot be used: {error.strerror}. Another program"
            " may be using it; give another port, or 0 for any that is free."
        ) from error
    return listener
