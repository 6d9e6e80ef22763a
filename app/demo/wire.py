"""What the two demo servers do alike on the wire: bounded bodies, strict headers, wilful silence."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "BODY_LIMIT_BYTES",
    "BodyTooLarge",
    "hang_up",
    "harden",
    "origin_of",
    "peer_of",
    "read_body",
    "until_gone",
]

# 64 KiB: twelve times the largest webhook; enough for anybody honest, too little to fill the memory.
BODY_LIMIT_BYTES: Final = 65_536

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class BodyTooLarge(Exception):
    """The request's body is larger than BODY_LIMIT_BYTES."""


async def read_body(request: Request) -> bytes:
    """Return the request's body; raise BodyTooLarge after BODY_LIMIT_BYTES, whatever length was announced."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise BodyTooLarge
    return bytes(body)


async def until_gone(request: Request, *, limit_seconds: float) -> None:
    """Wait, saying nothing, until the caller closes the connection or `limit_seconds` have passed.

    The body must have been read before: only then the next message can be nothing but the disconnect.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass


async def hang_up(request: Request) -> Response:
    """Close the connection without a single byte of answer, and return the response that nobody will see.

    ASGI has no word for this, so the server's own transport is asked for; behind a server that hides it the
    caller gets an empty 503.
    """
    abort = getattr(getattr(getattr(request.receive, "__self__", None), "transport", None), "abort", None)
    if callable(abort):
        abort()
        await until_gone(request, limit_seconds=1.0)
    return Response(status_code=503)


def origin_of(url: str) -> str:
    """Return `scheme://host[:port]` of a web address, as browsers write it; raise ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or parts.hostname is None or parts.username is not None:
        message = "not a plain web address"
        raise ValueError(message)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    return f"{parts.scheme}://{host}" + ("" if port in {None, DEFAULT_PORTS[parts.scheme]} else f":{port}")


def peer_of(url: str) -> tuple[str, int]:
    """Return the host and port a web address leads to; raise ValueError if it is not one."""
    origin_of(url)
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def harden(app: FastAPI, *, headers: Mapping[str, str]) -> None:
    """Make `app` answer 413 to bodies that are too large, and put `headers` on answers that lack them."""

    async def too_large(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": f"The body is larger than {BODY_LIMIT_BYTES} bytes."}, status_code=413)

    app.add_exception_handler(BodyTooLarge, too_large)
    fixed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def with_headers(inner: ASGIApp) -> ASGIApp:
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            async def say(message: Message) -> None:
                if message["type"] == "http.response.start":
                    own = {name.lower() for name, _ in message["headers"]}
                    message["headers"] = [
                        *message["headers"],
                        *(pair for pair in fixed if pair[0] not in own),
                    ]
                await send(message)

            await inner(scope, receive, say)

        return call

    app.add_middleware(with_headers)
