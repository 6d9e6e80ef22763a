"""One connection as it is watched: how far a call has come on it, and whether the peer has said too much."""

import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
from typing_extensions import override

__all__ = ["Progress", "WatchedStream", "has_more", "progress_of_call"]


@dataclass(slots=True)
class Progress:
    """How far the call of this context has come."""

    sent: bool = False  # whether a byte may have left
    hung_up: bool = False  # whether the peer closed the connection


progress_of_call: ContextVar[Progress] = ContextVar("how far the outgoing call has come")


class WatchedStream(httpcore.AsyncNetworkStream):
    """A connection that notes, for the call of the context, the first byte sent and the peer's hanging up."""

    def __init__(
        self,
        stream: httpcore.AsyncNetworkStream,
        progress: Progress,
        beneath: "WatchedStream | None" = None,
    ) -> None:
        """Watch a stream for who dials it; `beneath` one with TLS is the one without."""
        self._stream = stream
        self._dialled_by = progress
        self._beneath = beneath

    def has_more(self) -> bool:
        """Whether more has arrived than was read: in the socket's own buffer, or as records of TLS."""
        its: Any = self._stream
        arrived = its._stream  # noqa: SLF001  tests notice when these have other names
        if self._beneath is None:
            return bool(arrived._protocol.read_queue)  # noqa: SLF001
        return arrived._read_bio.pending > 0 or self._beneath.has_more()  # noqa: SLF001

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        progress_of_call.get(self._dialled_by).hung_up |= not data
        return data

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        progress_of_call.get(self._dialled_by).sent = True
        await self._stream.write(buffer, timeout)

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            encrypted = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:  # httpcore forgets the socket when the handshake is cancelled
            await self._stream.aclose()
            raise
        return WatchedStream(encrypted, self._dialled_by, self)

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def has_more(connection: httpcore.AsyncHTTPConnection) -> bool:
    """Whether the peer has sent more than its answer, which the libraries keep and do not tell.

    The next request on this connection would be answered by that, before it is asked: an order would be told
    how the one before it stands. What arrives later is seen by httpcore before the connection is used again.
    """
    its: Any = connection._connection  # noqa: SLF001  a test notices when it has another name
    is_read = bool(its._h11_state.trailing_data[0])  # noqa: SLF001
    return is_read or its._network_stream.has_more()  # noqa: SLF001
