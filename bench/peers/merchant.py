"""A merchant who says yes to everything and counts what he hears: `python -m bench.peers.merchant`.

Written on bare sockets, and without a look at signatures, so that he takes as little as possible of the
processor that the product is measured on.
"""

import asyncio
import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop
from typing_extensions import override

__all__: list[str] = []

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NUMBER = re.compile(rb'"transaction_id":"?(\d+)')
_END = b"\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_COMPLETED = re.compile(rb'"status_id":"?4\b')


@dataclass(slots=True)
class Books:
    """What was heard; `last_at` is the monotonic clock of this machine, in seconds."""

    asked: set[bytes] = field(default_factory=set)
    completed: set[bytes] = field(default_factory=set)
    repeated: int = 0
    others: int = 0
    last_at: float = 0.0

    def answer(self, path: bytes, body: bytes) -> dict[str, Any]:
        """Note a message and say what it is answered."""
        if path == b"/heard":
            return {
                "asked": len(self.asked),
                "completed": len(self.completed),
                "repeated": self.repeated,
                "others": self.others,
                "last_at": self.last_at,
            }
        found = _NUMBER.search(body)
        if found is None:
            return {"ready": True}
        if path.startswith(b"/callout"):
            self.asked.add(found[1])
            return {"code": 0, "external_id": f"order-{found[1].decode()}"}
        self._hear(found[1], is_completed=_COMPLETED.search(body) is not None)
        return {"code": 0}

    def _hear(self, number: bytes, *, is_completed: bool) -> None:
        if not is_completed:
            self.others += 1
        elif number in self.completed:
            self.repeated += 1
        else:
            self.completed.add(number)
            self.last_at = time.monotonic()


class _Talk(asyncio.Protocol):
    """One connection: requests one after the other, each whole before it is answered."""

    def __init__(self, books: Books) -> None:
        self._books, self._unread = books, b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own are not of its kind

    @override
    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(_END)) >= 0:
            head, begins = self._unread[:end], end + len(_END)
            length = _LENGTH.search(head)
            ends = begins + (int(length[1]) if length else 0)
            if len(self._unread) < ends:
                return
            body, self._unread = self._unread[begins:ends], self._unread[ends:]
            self._say(self._books.answer(head.split(b" ", 2)[1], body))

    def _say(self, answer: dict[str, Any]) -> None:
        said = json.dumps(answer).encode()
        assert self._transport is not None
        self._transport.write(_HEAD % len(said) + said)


async def serve() -> None:
    """Serve until the process is ended."""
    books = Books()
    loop, port = asyncio.get_running_loop(), int(os.environ["PEER_PORT"])
    server = await loop.create_server(lambda: _Talk(books), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
