"""TLS: connected is the address that was judged; the name stays what the certificate must speak of."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.kernel.clock import SystemClock
from app.plumbing.http import CallFailed, FailureKind, HttpClient
from tests.plumbing.test_http_servers import Switchboard, answering, serving

HERE = "93.184.216.34"

# An authority of our own and its certificate for shop.example, valid until 2126; the key is public.
AUTHORITY = """
MIIBijCCATGgAwIBAgIUbffr8m/fBW0EZhPV0vP/VsZLRwIwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHdGVzdCBDQTAgFw0yNjExMjEwNzEwNTNaGA8yMTI2MTAyODA3
MTA1M1owEjEQMA4GA1UEAwwHdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABN+Mib+fJYl601MXfd6XNtXbhsE++uAnpHylSUb3LD2lCAycrOLDq0silxCf
1PesP8R3NtuTerHXLrPj1xwRgPWjYzBhMB0GA1UdDgQWBBRm7apOHlnWGV0oh9Ro
qLl98QYA8jAfBgNVHSMEGDAWgBRm7apOHlnWGV0oh9RoqLl98QYA8jAPBgNVHRMB
Af8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQDAgNHADBEAiA2g563
QprVWCm1OBOcztOxK+zqaTYqs5vcxcIQfJGkmgIgTv6+YdSiWrotUdHBnN6sM7Ae
hXkQ62EBcZqmpPoZE4o=
"""
CERTIFICATE = """
MIIBlDCCATmgAwIBAgIULbPHMZVkiyyILtB0pDyxjU3Nt9cwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHdGVzdCBDQTAgFw0yNjExMjEwNzEwNTNaGA8yMTI2MTAyODA3
MTA1M1owFzEVMBMGA1UEAwwMc2hvcC5leGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZI
zj0DAQcDQgAEfGr0cI4ZB/luBBIg/IkAeoota3Zg2hhtV5KcZDW1g875hjjvq5/7
M2Xmts8UGV5kN3ceEy9Cm/WL5yaoyR9yqaNmMGQwFwYDVR0RBBAwDoIMc2hvcC5l
eGFtcGxlMAkGA1UdEwQCMAAwHwYDVR0jBBgwFoAUZu2qTh5Z1hldKIfUaKi5ffEG
APIwHQYDVR0OBBYEFApIaCtcy57mcOeLkhjddS4CDX12MAoGCCqGSM49BAMCA0kA
MEYCIQDfKeFMq/pn4W87eaht/0ftzB+ETHMZ00HaGMfpFbdp2gIhAKgQD53zg1SY
5nFesaQxDtx10Gd3pCQld457HiO9bfXL
"""
KEY = """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFi+QuEha87Me//lG
K7MOanxxe46jCzAruSwhl3dmXfuhRANCAAR8avRwjhkH+W4EEiD8iQB6ii1rdmDa
GG1XkpxkNbWDzvmGOO+rn/szZea2zxQZXmQ3dx4TL0Kb9YvnJqjJH3Kp
"""


def pem(kind: str, text: str) -> str:
    return f"-----BEGIN {kind}-----{text}-----END {kind}-----\n"


async def public(_: str, __: int) -> Sequence[str]:
    return [HERE]


@pytest.fixture
def names() -> list[str | None]:
    """What clients asked the server for (SNI)."""
    return []


@pytest.fixture
def server_tls(tmp_path: Path, names: list[str | None]) -> Iterator[ssl.SSLContext]:
    file = tmp_path / "server.pem"
    file.write_text(pem("PRIVATE KEY", KEY) + pem("CERTIFICATE", CERTIFICATE))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    yield context
    context.sni_callback = None


@pytest.fixture
def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pem("CERTIFICATE", AUTHORITY))


async def test_the_name_is_kept_for_tls_and_host(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, names: list[str | None]
) -> None:
    async with serving(answering(b"secret"), tls=server_tls) as server:
        board = Switchboard({HERE: server})
        async with HttpClient(SystemClock(), resolve=public, dial=board.dial, tls=client_tls) as client:
            for _ in range(2):
                reply = await client.call("GET", "https://shop.example/x", deadline_seconds=5)
                assert (reply.status, reply.body) == (200, b"secret")
    assert (board.dialled, names, len(server.requests)) == ([HERE], ["shop.example"], 2)
    assert b"host: shop.example\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("url", ["https://other.example/", "https://shop.example.evil.example/"])
async def test_a_certificate_for_another_name_is_refused_before_a_byte_is_sent(
    url: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(answering(), tls=server_tls) as server:
        board = Switchboard({HERE: server})
        async with HttpClient(SystemClock(), resolve=public, dial=board.dial, tls=client_tls) as client:
            with pytest.raises(CallFailed) as caught:
                await client.call("GET", url, deadline_seconds=5)
    assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.NOT_CONNECTED, True)
    assert (board.dialled, server.requests) == ([HERE], [])


async def test_a_certificate_of_an_unknown_authority_is_refused(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trusted = tmp_path / "authority.pem"
    trusted.write_text(pem("CERTIFICATE", AUTHORITY))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))  # the environment does not decide whom we trust
    async with serving(answering(), tls=server_tls) as server:
        board = Switchboard({HERE: server})
        async with HttpClient(SystemClock(), resolve=public, dial=board.dial) as client:
            with pytest.raises(CallFailed) as caught:
                await client.call("GET", "https://shop.example/", deadline_seconds=5)
    assert (caught.value.kind, server.requests) == (FailureKind.NOT_CONNECTED, [])


async def test_an_answer_in_a_record_of_its_own_that_nobody_asked_for_answers_no_later_request(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked = request.split()[1][1:]
        for body in (asked, b"spare"):  # a record each, which arrive together
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    async with serving(answer, tls=server_tls) as server:
        board = Switchboard({HERE: server})
        async with HttpClient(SystemClock(), resolve=public, dial=board.dial, tls=client_tls) as client:
            for order in (b"first", b"second", b"third"):
                reply = await client.call("GET", f"https://shop.example/{order.decode()}", deadline_seconds=5)
                assert reply.body == order
