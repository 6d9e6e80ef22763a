"""The numbers of a process that serves nobody: one small page on a port of its own.

A worker raises most alarms, and its counts are in its own memory. Who asks is Prometheus, every few seconds,
so this is no web server: one request a connection, some seconds for it, and a bound on its head.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from app.plumbing import metrics, web

__all__ = ["MEDIA_TYPE", "is_bearer", "listening"]

MEDIA_TYPE: Final = "text/plain; version=0.0.4"
_HEAD_BYTES: Final = 8 * 1024
_SECONDS: Final = 5.0  # for a whole request and its answer
_log = structlog.get_logger("ops")


def is_bearer(authorization: str, token: str) -> bool:
    """Whether a header names the token."""
    sent = web.bearer_of(authorization)
    return bool(sent) and hmac.compare_digest(sent.encode(), token.encode())


@asynccontextmanager
async def listening(host: str, port: int, *, production: bool, token: str) -> AsyncIterator[None]:
    """Answer `GET /metrics` for the time of a block; a port that is taken is said, and nothing else stops.

    Args:
        host, port: where; 0 = nowhere.
        production: only who has the token is answered, and without one nobody.
        token: the bearer.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head.decode("latin-1"), production=production, token=token))
                await writer.drain()
        writer.close()

    server = None
    if port and production and not token:
        _log.warning("numbers.closed", reason="in production there are none without CASHIER_METRICS_TOKEN")
    elif port:
        try:
            server = await asyncio.start_server(serve, host, port, limit=_HEAD_BYTES)
        except OSError as error:
            _log.error("numbers.not_served", port=port, reason=str(error))
    try:
        yield
    finally:
        if server is not None:
            server.close()


def _answer(head: str, *, production: bool, token: str) -> bytes:
    first, *lines = head.split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if first.split(" ")[:2] != ["GET", "/metrics"]:
        return _written("404 Not Found", b"")
    if production and not is_bearer(headers.get("authorization", ""), token):
        return _written("401 Unauthorized", b"", "WWW-Authenticate: Bearer\r\n")
    return _written("200 OK", metrics.rendered())


def _written(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode() + body
