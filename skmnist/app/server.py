"""A server for one user on this machine: a page, and what reads its pictures.

Anybody's web page may send requests to a server on one's own machine, so those that do
not come from the page itself are refused, by the names that the browser puts on them.
"""

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
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from PIL import Image

from skmnist.pictures import find_digits

try:
    import uvicorn
    from anyio import CapacityLimiter, to_thread
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
# In bytes: what a phone's photo takes, with room to spare.
LARGEST_BODY = 20 * 2**20
# A picture may take hundreds of megabytes while it is read, so few are at once.
AT_ONCE = 2


def serve(model: Any = None, *, port: int = 8000, open_browser: bool = True) -> None:
    """Serve the page on this machine until it is interrupted.

    Nothing leaves the machine: only 127.0.0.1 is listened on, and the page fetches
    nothing from elsewhere. Its address is printed to standard output as soon as it can
    be opened.

    Parameters
    ----------
    model : classifier, default=None
        Fitted, with `classes_` and `predict_proba` of images of shape
        (n_images, 28, 28) as MNIST has them, uint8 of ink 255 on 0. None means
        :func:`~skmnist.load_pretrained`.
    port : int, default=8000
        The port, 0 to 65535; 0 takes any that is free.
    open_browser : bool, default=True
        Whether to open the page in the browser.

    Raises
    ------
    ImportError
        On import of this module, if Starlette or uvicorn is missing.
    OSError
        If the port cannot be had, for another program uses it.
    TypeError
        If `model` is no classifier with probabilities.
    ValueError
        If `port` is no port, or `model` does not take such images.
    NotFittedError
        If `model` is not fitted.

    Notes
    -----
    It returns after Ctrl-C, within a few seconds even if a picture is being read.

    Examples
    --------
    >>> from skmnist.app import serve
    >>> serve(port=0)  # doctest: +SKIP
    skmnist: http://127.0.0.1:40123 (Ctrl-C ends it)
    """
    if model is None:
        from skmnist.pretrained import load_pretrained

        model = load_pretrained()
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
    with _listen(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}"

        def announce() -> None:
            print(f"skmnist: {address} (Ctrl-C ends it)", flush=True)
            if open_browser:
                # Some browsers return when they are closed.
                threading.Thread(
                    target=webbrowser.open, args=(address,), daemon=True
                ).start()

        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, announce).run(sockets=[listener])


def make_app(model: Any) -> Starlette:
    """Make the application that :func:`serve` runs.

    Parameters
    ----------
    model : classifier
        As of :func:`serve`.

    Returns
    -------
    starlette.applications.Starlette
        ``GET /`` is the page. ``POST /read`` takes a picture as the body of the request
        and returns JSON: `width` and `height` of the upright picture in pixels, the
        `lines` of what was read, `classes`, and for each of `digits` its `box` (left,
        top, right, bottom), its `line` from 0, `label`, `probabilities` in the order of
        `classes`, and `image`, 28 rows of 28 grey levels.

        What is refused gets `error`, a sentence, and a status: 403 for another Host or
        Origin, 413 for a body over 20 MB, 415 for what is no picture.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        As :func:`serve`.
    """
    _check_model(model)
    html = resources.files("skmnist.app").joinpath("page.html").read_text("utf-8")
    limiter: list[CapacityLimiter] = []

    async def page(request: Request) -> Response:
        return HTMLResponse(html)

    async def read(request: Request) -> Response:
        try:
            body = await _receive(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is left to read it
        if not limiter:  # it belongs to the event loop
            limiter.append(CapacityLimiter(AT_ONCE))
        answer = await to_thread.run_sync(_read, model, body, limiter=limiter[0])
        return Response(answer, media_type="application/json")

    return Starlette(
        routes=[Route("/", page), Route("/read", read, methods=["POST"])],
        middleware=[Middleware(_OwnPageOnly, policy=_policy(html))],
        exception_handlers={HTTPException: _refuse},
    )


def _read(model: Any, body: bytes) -> bytes:
    """Read a picture, and return the answer as JSON."""
    try:
        digits = find_digits(io.BytesIO(body), estimator=model)
        with Image.open(io.BytesIO(body)) as image:
            width, height = image.size
            if image.getexif().get(0x0112, 1) >= 5:  # lies on its side
                width, height = height, width
    except (OSError, ValueError) as error:
        raise HTTPException(415, str(error)) from error
    classes = [str(label) for label in model.classes_]
    probabilities = np.empty((0, len(classes)))
    if len(digits):
        probabilities = np.asarray(model.predict_proba(digits.images))
    labels = [classes[best] for best in probabilities.argmax(axis=1)]
    lines = digits.lines.tolist()
    between = "" if max(map(len, classes)) == 1 else " "
    text = [
        between.join(label for label, at in zip(labels, lines, strict=True) if at == n)
        for n in dict.fromkeys(lines)
    ]
    answer = {
        "width": width,
        "height": height,
        "lines": text,
        "classes": classes,
        "digits": [
            {
                "box": box,
                "line": line,
                "label": label,
                "probabilities": row,
                "image": image,
            }
            for box, line, label, row, image in zip(
                digits.boxes.tolist(),
                lines,
                labels,
                probabilities.astype(float).round(5).tolist(),
                digits.images.tolist(),
                strict=True,
            )
        ],
    }
    return json.dumps(answer, separators=(",", ":")).encode()


async def _receive(request: Request) -> bytes:
    """Return the body of a request, if it is not too large."""
    too_large = HTTPException(413, "The picture is larger than 20 MB.")
    if int(request.headers.get("content-length", 0)) > LARGEST_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise too_large
    return bytes(body)


async def _refuse(request: Request, error: Exception) -> Response:
    """Answer with the reason as JSON."""
    assert isinstance(error, HTTPException)
    content = {"error": error.detail}
    return JSONResponse(content, error.status_code, headers=error.headers)


def _policy(html: str) -> str:
    """Return a policy that lets the page's own script and style run, and no other."""
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
    """Middleware that refuses requests of other pages, and keeps the page to itself.

    A name that resolves to this machine (DNS rebinding) shows in Host, a page of
    another address in Origin.
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
        # Any port: a tunnel from another machine may have another than ours.
        own = re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host)
        if own and headers.get("origin", f"http://{host}") == f"http://{host}":
            await self.app(scope, receive, send_with_headers)
            return
        content = {"error": "Only the page itself may ask, at 127.0.0.1 or localhost."}
        await JSONResponse(content, 403)(scope, receive, send_with_headers)


class _Server(uvicorn.Server):
    """A server that tells when it accepts connections, and ends without a word."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]):
        super().__init__(config)
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # What is cut off now is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _listen(port: int) -> socket.socket:
    """Return a socket that is bound to the port, or say why it cannot be."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, got {port}.")
    listener = socket.socket()
    if sys.platform != "win32":
        # Else the port stays taken for a minute after the last page was closed.
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


def _check_model(model: Any) -> None:
    """Refuse what cannot read, before anybody draws."""
    if not hasattr(model, "predict_proba"):
        raise TypeError(
            "model must be a classifier with predict_proba, got "
            f"{type(model).__name__}."
        )
    model.predict_proba(np.zeros((1, 28, 28), np.uint8))
