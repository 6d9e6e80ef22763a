"""One connection may not take more than its share: bounds that uvicorn leaves open.

uvicorn with httptools reads heads, trailers and pipelined requests without end, waits for them without end,
and keeps a connection whose request was answered before its body came. The protocol below bounds each, before
any of our code is asked: what one stranger's connection can hold is some kilobytes, for some seconds.
"""

import asyncio
import socket
from enum import Enum, auto
from typing import Any, Final

from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

__all__ = ["HEAD_LIMIT_BYTES", "HEAD_SECONDS", "MOST_HEADERS", "MOST_WAITING", "BoundedProtocol"]

HEAD_LIMIT_BYTES: Final = 32 * 1024  # URL and headers; also what stands between two pieces of a body
MOST_HEADERS: Final = 100  # an empty header costs four bytes on the wire and a hundred in memory
MOST_WAITING: Final = 8  # requests sent before the one ahead is answered; browsers send none
HEAD_SECONDS: Final = 10.0  # for a head, and for the rest of a body that nobody will read
READ_SECONDS: Final = 10.0  # so long the other side may take no byte of what is written to it (Linux alone)
_OVER_TCP: Final = frozenset({socket.AF_INET, socket.AF_INET6})
_LINGER_SECONDS: Final = 1.0  # closed at once, unread bytes would make the peer's system drop our answer
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"  # as uvicorn writes it, before the answer
_PIECE_BYTES: Final = 4 * 1024  # the parser says nothing of what it keeps, so it is fed little by little


class _Phase(Enum):
    """Where in a message the last byte was."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


class _TooMuch(Exception):
    """Leaves the parser's callback; the parser stops and says that the request is not readable."""


class _HeadWithBody(asyncio.Transport):
    """What one response is written to: its head waits for the first of its body.

    One system call and one packet for most answers; uvicorn makes two of each. ASGI asks for it besides: no
    response begins before there is a body for it. It knows nothing of its request: a ring of the two would
    keep bodies that nobody read until the next collection.
    """

    __slots__ = ("_head", "_is_begun", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        """Nothing is written yet."""
        super().__init__()
        self._transport = transport
        self._head, self._is_begun = b"", False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._is_begun or (not self._head and data == _CONTINUE):
            self._transport.write(data)  # more of the body; or that the request's own may come
        elif self._head:
            self._is_begun = True
            self._transport.write(self._head + data)
        else:
            self._head = bytes(data)

    @override
    def close(self) -> None:
        self._transport.close()

    @override
    def is_closing(self) -> bool:
        return self._transport.is_closing()


def _forget_who_reads_nothing(transport: asyncio.Transport) -> None:
    """Let the system end a connection whose other side takes no byte of an answer: no timer of ours sees it.

    Whoever asks and never reads would keep it, and what is written to it, for ever.
    """
    network = transport.get_extra_info("socket")
    if network is not None and network.family in _OVER_TCP and hasattr(socket, "TCP_USER_TIMEOUT"):
        network.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(READ_SECONDS * 1000))


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection: heads bounded in bytes, fields and time; no upgrades, no long pipelines."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare one connection; uvicorn calls this."""
        super().__init__(config, server_state, app_state, _loop)
        self._phase = _Phase.BETWEEN
        self._steps = 0  # heads, body pieces and messages finished so far
        self._unfinished_bytes = 0  # since the last of them
        self._refusal = 400
        self._is_deaf = False  # whatever still comes is thrown away
        self._deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        _forget_who_reads_nothing(transport)
        self._arm(HEAD_SECONDS)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._is_deaf and not self.transport.is_closing():
            piece = data[at : at + min(_PIECE_BYTES, HEAD_LIMIT_BYTES - self._unfinished_bytes)]
            at += len(piece)
            steps = self._steps
            super().data_received(piece)
            self._look_at(len(piece), is_stalled=steps == self._steps)

    @override
    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_WAITING:
            raise _TooMuch
        super().on_message_begin()
        self._phase = _Phase.HEAD

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not _Phase.HEAD:
            return  # a trailer, behind the body: nobody reads it, and uvicorn would add it to the headers
        if len(self.headers) >= MOST_HEADERS:
            self._refusal = 431
            raise _TooMuch
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()
        if self.cycle.scope["method"] != "HEAD":  # a head that nothing follows
            self.cycle.transport = _HeadWithBody(self.transport)
        self._step(_Phase.BODY)

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._step(_Phase.BODY)

    @override
    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()
        self._step(_Phase.BETWEEN)

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is _Phase.BODY and not self._is_answering() and not self.transport.is_closing():
            self._arm(HEAD_SECONDS)

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    @override
    def _should_upgrade_to_ws(self) -> bool:
        return False

    @override
    def _unsupported_upgrade_warning(self) -> None:
        # The request is answered as if it had not asked; what follows it may be in another protocol.
        self._is_deaf = True
        if self._is_answering():
            self.cycle.keep_alive = False
        else:
            self._linger()

    def _step(self, phase: _Phase) -> None:
        self._phase = phase
        self._steps += 1
        self._unfinished_bytes = 0

    def _look_at(self, piece_bytes: int, *, is_stalled: bool) -> None:
        """Count a piece that finished nothing, and time what it began."""
        if self._is_deaf:
            return
        if is_stalled:
            self._unfinished_bytes += piece_bytes
            if self._unfinished_bytes >= HEAD_LIMIT_BYTES:
                self._refuse(431)
                return
        # Empty lines before a head are no head for the parser, and stop uvicorn's keep-alive timer.
        is_waited_for = self._phase is _Phase.HEAD or (self._phase is _Phase.BETWEEN and is_stalled)
        if is_waited_for and self._deadline is None:
            self._arm(HEAD_SECONDS)

    def _refuse(self, status: int) -> None:
        """Answer and close; the answers to what came before it go out first."""
        if self._is_answering():
            self._is_deaf = True
            if self._phase is _Phase.BODY:
                self.transport.close()  # its own body is what cannot be read
            else:
                self.cycle.keep_alive = False
            return
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._linger()

    def _linger(self) -> None:
        self._is_deaf = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(_LINGER_SECONDS)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self._is_answering():
            self.cycle.keep_alive = False  # the answers before it go out, then the connection goes
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its type
        return cycle is not None and not cycle.response_complete
