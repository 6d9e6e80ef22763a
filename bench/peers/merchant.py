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
from typing import Any

__all__: list[str] = []

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NUMBER = re.compile(rb'"transaction_id":"?(\d+)')
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


async def _talk(books: Books, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            said = json.dumps(books.answer(head.split(b" ", 2)[1], body)).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (len(said), said)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve() -> None:
    """Serve until the process is ended."""
    books = Books()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _talk(books, reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", int(os.environ["PEER_PORT"]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
