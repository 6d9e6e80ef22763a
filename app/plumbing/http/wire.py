"""The library beneath, and every dial: httpx for messages, httpcore for connections, our judgement between.

httpcore's pool is not used. Calls that are cancelled while they wait in it lose its slots for good (httpcore
#1093), and even in an unlimited pool, where nobody waits, 5,000 cancelled calls left nine connections that it
believed in use for ever: its clean-up is not shielded from asyncio's cancellation. Here a connection belongs
to one call, and whatever does not come back clean is closed. A test cancels 5,000 calls and counts.
"""

import asyncio
import re
import ssl
import zlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, TypeAlias

import httpcore
import httpx
from typing_extensions import override

from app.plumbing import addresses
from app.plumbing.http.calls import CallFailed, FailureKind
from app.plumbing.http.names import Resolver
from app.plumbing.http.streams import Progress, WatchedStream, has_more, progress_of_call

__all__ = [
    "KEEP_ALIVE_SECONDS",
    "Answer",
    "Dial",
    "JudgedNetwork",
    "Progress",
    "Request",
    "Transport",
    "connections",
    "exchange",
    "failures_named",
    "request_of",
    "socket_dial",
    "verifying_tls",
]

Dial: TypeAlias = Callable[[str, int], Awaitable[httpcore.AsyncNetworkStream]]
"""From an address and a port to an open connection of AnyIO; `httpcore.ConnectError` when there is none."""
Transport: TypeAlias = httpx.AsyncBaseTransport
Request: TypeAlias = httpx.Request
Answer: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers with names in lower case, unpacked body."""

RESOLVE_SECONDS = 5.0  # in this time the system's resolver asks its first server once, the usual setting
DIAL_SECONDS = 4.0  # an address: time for the third SYN (0, 1, 3 s); then the name's next address is tried
KEEP_ALIVE_SECONDS = 3.0  # below the 5 s after which common servers hang up: no request meets a closing door
METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
OUR_HEADERS = frozenset(  # written here and nowhere else: they frame the message or say who speaks to whom
    {
        "accept-encoding", "connection", "content-length", "cookie", "expect", "host", "keep-alive", "te",
        "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
UNPACKERS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class _AddressRefused(Exception):
    """What the name leads to may not be dialled."""


class JudgedNetwork(httpcore.AsyncNetworkBackend):
    """Opens TCP connections, each to an address that was judged a moment before."""

    def __init__(
        self, resolve: Resolver, dial: Dial, allowed: AbstractSet[addresses.Peer], own: AbstractSet[str]
    ) -> None:
        """Keep the two ways out, the peers that may be private, and the public addresses that are ours."""
        self._resolve = resolve
        self._dial = dial
        self._allowed = allowed
        self._own = frozenset(ip_address(address) for address in own)

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once, judge every answer, connect to one of these very addresses.

        The name stays what TLS and the Host header speak of. Checking first and letting the client resolve
        again would be the rebinding hole: the second answer may be another.
        """
        progress = progress_of_call.get()
        progress.sent = False
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                answers = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # includes the time-out
            raise httpcore.ConnectError(f"{host} could not be resolved") from error
        if (host, port) not in self._allowed:
            for answer in answers:
                self._judge(host, answer)
        failure: Exception | None = None
        for answer in answers:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    return WatchedStream(await self._dial(answer, port), progress)
            except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise httpcore.ConnectError(f"no connection to {host}") from failure

    def _judge(self, host: str, answer: str) -> None:
        try:
            reason = addresses.why_refused(answer)
            if reason is None and (ip_address(answer) in self._own or addresses.is_this_machine(answer)):
                reason = "it is our own"
        except ValueError as error:
            raise _AddressRefused(f"{host} leads to something that is no address") from error
        if reason is not None:
            raise _AddressRefused(f"{host} leads to {answer}: {reason}")


class _Connections(httpx.AsyncBaseTransport):
    """The connections to one peer: each belongs to one call, and only a clean end makes it free again."""

    def __init__(self, network: JudgedNetwork, tls: ssl.SSLContext) -> None:
        self._network = network
        self._tls = tls
        self._free: list[httpcore.AsyncHTTPConnection] = []
        self._closed = False

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        message = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream
        )
        connection = await self._taken(target.origin)
        try:
            response = await connection.handle_async_request(message)
        except BaseException:
            await connection.aclose()
            raise
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response, connection, self._given_back)
        )

    async def _taken(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        # Parted before the first await: another caller must not find, and close, the same ones.
        expired = [connection for connection in self._free if connection.has_expired()]
        self._free = [connection for connection in self._free if connection not in expired]
        fit = [connection for connection in self._free if connection.can_handle_request(origin)]
        if fit:  # the one used last is the least likely to be closed over there
            self._free.remove(fit[-1])
        for connection in expired:
            await connection.aclose()
        return fit[-1] if fit else self._new(origin)

    def _new(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._tls, keepalive_expiry=KEEP_ALIVE_SECONDS, network_backend=self._network
        )

    async def _given_back(self, connection: httpcore.AsyncHTTPConnection) -> None:
        if connection.is_idle() and not has_more(connection) and not self._closed:
            self._free.append(connection)
        else:
            await connection.aclose()

    @override
    async def aclose(self) -> None:
        self._closed = True
        while self._free:
            await self._free.pop().aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; at its end the connection is given back, or closed when the end is not clean."""

    def __init__(
        self,
        response: httpcore.Response,
        connection: httpcore.AsyncHTTPConnection,
        give_back: Callable[[httpcore.AsyncHTTPConnection], Awaitable[None]],
    ) -> None:
        self._response = response
        self._connection = connection
        self._give_back = give_back

    @override
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_stream()

    @override
    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        except BaseException:
            await self._connection.aclose()
            raise
        await self._give_back(self._connection)


def connections(network: JudgedNetwork, tls: ssl.SSLContext) -> Transport:
    """A fresh set of connections for one peer; how many there are is the caller's to bound."""
    return _Connections(network, tls)


def verifying_tls() -> ssl.SSLContext:
    """TLS 1.2 or later, certificates verified against the certifi list, nothing from the environment."""
    return httpx.create_ssl_context(trust_env=False)


async def socket_dial(address: str, port: int) -> httpcore.AsyncNetworkStream:
    """A real TCP connection."""
    return await httpcore.AnyIOBackend().connect_tcp(address, port)


def request_of(
    method: str,
    url: str,
    target: addresses.Target,
    *,
    headers: Mapping[str, str],
    body: bytes,
    user_agent: str,
) -> httpx.Request:
    """Build the request; the answer is asked for unpacked, because our answers are small.

    Raises:
        CallFailed: the library reads another host out of the URL than our grammar did.
        ValueError: a method or header that no caller may send.
    """
    if method not in METHODS:
        raise ValueError("the method is not one of " + ", ".join(sorted(METHODS)))
    for name, value in headers.items():
        framing = name.lower() in OUR_HEADERS
        if framing or not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the header {name!r} is not for callers, or holds a character that no header may hold"
            )
    ours = {"accept-encoding": "identity", "user-agent": user_agent}
    request = httpx.Request(method, _read_url(url), headers={**headers, **ours}, content=body)
    read = request.url
    port = read.port or addresses.DEFAULT_PORTS.get(read.scheme)
    if (read.scheme, read.host, port) != (target.scheme, target.host, target.port):
        raise CallFailed(FailureKind.REFUSED_ADDRESS, target.peer, "the address can be read in two ways")
    return request


# A peer is called at the same address again and again, and each reading costs a dozen expressions.
_read_url = lru_cache(maxsize=256)(httpx.URL)


async def exchange(
    transport: Transport, request: httpx.Request, answer_limit_bytes: int, peer: str, progress: Progress
) -> Answer:
    """Send, and read the whole answer.

    Raises:
        CallFailed: `TOO_LARGE` or `MALFORMED`; everything else as the library says it, see `failures_named`.
    """
    mark = progress_of_call.set(progress)
    progress.sent = True  # believed until a dial begins: a reused connection does not tell
    try:
        response = await transport.handle_async_request(request)
        try:
            body = await _content(response, answer_limit_bytes, peer)
            return response.status_code, dict(response.headers.items()), body
        finally:
            await response.aclose()
    finally:
        progress_of_call.reset(mark)


async def _content(response: httpx.Response, limit: int, peer: str) -> bytes:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity" and coding not in UNPACKERS:
        raise CallFailed(FailureKind.MALFORMED, peer, "the answer is packed in a way we did not ask for")
    unpacker = zlib.decompressobj(UNPACKERS[coding]) if coding in UNPACKERS else None
    received, body = 0, bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        received += len(chunk)
        try:
            # Never more than one byte over the limit: 64 kB of gzip can be 64 MB of zeros.
            body += unpacker.decompress(chunk, limit + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise CallFailed(FailureKind.MALFORMED, peer, "the answer cannot be unpacked") from error
        if max(received, len(body)) > limit:
            raise CallFailed(FailureKind.TOO_LARGE, peer, f"the answer is longer than {limit} bytes")
    if unpacker and received and (not unpacker.eof or unpacker.unused_data):
        raise CallFailed(FailureKind.MALFORMED, peer, "the packed answer has no proper end")
    return bytes(body)


@contextmanager
def failures_named(peer: str, progress: Progress) -> Iterator[None]:
    """Say in our words how a call ended; what is not named here is a fault of ours and passes."""
    try:
        yield
    except _AddressRefused as error:
        raise CallFailed(FailureKind.REFUSED_ADDRESS, peer, str(error)) from error
    except (
        httpcore.ConnectError,
        httpcore.ConnectTimeout,
        httpx.ConnectError,
        httpx.ConnectTimeout,
    ) as error:
        raise CallFailed(FailureKind.NOT_CONNECTED, peer, str(error) or "no connection") from error
    except TimeoutError as error:
        raise CallFailed(FailureKind.TIMED_OUT, peer, "the deadline passed", sent=progress.sent) from error
    except (
        httpcore.TimeoutException,
        httpx.TimeoutException,
    ) as error:  # only from a transport replaced in a test
        raise CallFailed(FailureKind.TIMED_OUT, peer, "the deadline passed") from error
    except (httpcore.RemoteProtocolError, httpx.RemoteProtocolError) as error:
        kind = FailureKind.BROKEN if progress.hung_up else FailureKind.MALFORMED
        raise CallFailed(kind, peer, str(error)) from error
    except (OSError, httpcore.NetworkError, httpx.TransportError) as error:
        kind = FailureKind.BROKEN if progress.sent else FailureKind.NOT_CONNECTED
        raise CallFailed(kind, peer, str(error) or "the connection was lost") from error
