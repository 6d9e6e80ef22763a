"""The sandbox provider of the demo, as a process of its own: `python -m bench.peers.bank`.

Its notices go out on bare sockets, so that it takes as little as possible of the processor that the product
is measured on; everything else is the provider as the demo has it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import uvicorn
import uvloop
from fastapi import FastAPI

from app.demo.facts import ACCOUNT
from app.demo.provider import create_app
from app.demo.provider_orders import ProviderSettings
from app.plumbing.collector import spare_the_collector
from app.plumbing.http import CallFailed, FailureKind, Reply

__all__: list[str] = []

_PENDING_SECONDS = 0.1  # from the answer to the notice
_END = b"\r\n\r\n"
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Bearer:
    """Brings notices to one cashier, on connections that are kept."""

    def __init__(self) -> None:
        self._free: list[_Connection] = []

    async def call(
        self, method: str, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Reply:
        """Bring one; as `HttpClient.call`, but for what only a stranger would do.

        Raises:
            CallFailed: it was not acknowledged in time, or not at all.
        """
        to = urlsplit(url)
        lines = [f"{method} {to.path} HTTP/1.1", f"host: {to.netloc}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join(lines).encode() + _END + body
        try:
            async with asyncio.timeout(deadline_seconds):
                reader, writer = connection = await self._connection(to.hostname, to.port)
                writer.write(message)
                head = await reader.readuntil(_END)
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                said = await reader.readexactly(int(length or 0))
        except TimeoutError:
            raise CallFailed(FailureKind.TIMED_OUT, to.netloc, "no answer in time") from None
        except (OSError, asyncio.IncompleteReadError):
            raise CallFailed(FailureKind.BROKEN, to.netloc, "the connection was lost") from None
        self._free.append(connection)
        return Reply(int(head.split(b" ", 2)[1]), {}, said, 0)

    async def _connection(self, host: str | None, port: int | None) -> _Connection:
        """One that is kept, unless the cashier has closed it since: nothing was said on it for a while."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(host, port)


async def serve() -> None:
    """Serve until SIGTERM; the environment says where, for whom, and where the cashier is."""
    port, cashier = int(os.environ["PEER_PORT"]), int(os.environ["PEER_CASHIER_PORT"])
    app = create_app(
        ProviderSettings(
            public_url=f"http://127.0.0.1:{port}",
            merchants={ACCOUNT: os.environ["PEER_SECRET"]},
            short_pause_seconds=_PENDING_SECONDS,
            notice_peers=frozenset({("127.0.0.1", cashier)}),
        )
    )
    app.add_api_route("/readyz", _ready)
    opened = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(app):
            app.state.desk.http = _Bearer()
            yield

    app.router.lifespan_context = lifespan
    spare_the_collector()
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()


async def _ready() -> dict[str, bool]:
    return {"ready": True}


if __name__ == "__main__":
    uvloop.run(serve())
