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
import threading
import webbrowser
from importlib import resources
from typing import Any

import numpy as np

from skmnist.reading import check_estimator, read_digits

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route
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
HTML = resources.files("skmnist.app").joinpath("page.html").read_text("utf-8")


def _hash_of(tag: str) -> str:
    """Return the hash of the page's script or style, by which a browser allows it."""
    (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", HTML, re.DOTALL)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# Only the page's own script and style are allowed, and only its own requests.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_hash_of('script')}';"
        f" style-src 'sha256-{_hash_of('style')}'; img-src blob: data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


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
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, got {port}.")
    config = uvicorn.Config(
        make_app(model), lifespan="off", log_level="error", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    # A request that is cut off by the end of the server is not an error.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not server.should_exit)
    with socket.create_server((HOST, port)) as listener:
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
    body over 20 MB or of unknown length, 415 for a body that is not a picture, 503 for
    a picture that takes too long to read.
    """
    if model is not None:
        check_estimator(model).predict_proba(np.zeros((1, 28, 28), np.uint8))
    slots = asyncio.Semaphore(AT_ONCE)

    async def read(request: Request) -> Response:
        if float(request.headers.get("content-length", "inf")) > LARGEST_BODY:
            raise HTTPException(413, "Expected at most 20 MB, with a Content-Length.")
        try:
            body = await request.body()
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
        routes=[Route("/", _page), Route("/read", read, methods=["POST"])],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_answer_own_page)],
        exception_handlers={HTTPException: _answer_error},
    )


def _read(estimator: Any, body: bytes) -> bytes:
    """Read a picture, and return the reading as JSON."""
    try:
        reading = read_digits(io.BytesIO(body), estimator=estimator)
    except (OSError, ValueError) as error:
        raise HTTPException(415, str(error)) from error
    return json.dumps(reading.to_dict(), separators=(",", ":")).encode()


async def _answer_error(request: Request, error: Any) -> Response:
    """Answer with an HTTPException as JSON."""
    content = {"error": error.detail}
    return JSONResponse(content, error.status_code, headers=error.headers)


async def _page(request: Request) -> Response:
    return HTMLResponse(HTML)


async def _answer_own_page(request: Request, call_next: Any) -> Response:
    """Reject requests of other pages, and isolate the page from them."""
    # Host shows a name that resolves to this machine (DNS rebinding), Origin a page of
    # another address. Any port: a tunnel from another machine may use another port.
    host = request.headers.get("host", "")
    own = re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", host)
    if own and request.headers.get("origin", f"http://{host}") == f"http://{host}":
        response = await call_next(request)
    else:
        problem = "Only the page itself may ask, at 127.0.0.1 or localhost."
        response = JSONResponse({"error": problem}, 403)
    response.headers.update(HEADERS)
    return response
