"""What the document of a measurement says of how it was asked for; and who takes part in one."""

import asyncio
import sys

import pytest

from bench import __main__ as bench
from bench.peers.bank import _Bearer


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", ""),
        ("--quick", "--quick"),
        ("--only calls,life --seconds 3", "--only calls,life --seconds 3"),
        ("--write /somewhere/out.md", ""),
        ("--write=/somewhere/out.md", ""),
        ("--quick --write /somewhere/out.md --strict", "--quick --strict"),
        ("--quick --write=/somewhere/out.md --strict", "--quick --strict"),
        ("--write /somewhere/out.md --write /elsewhere --rounds=1", "--rounds=1"),
        ("--write=/somewhere/out.md --write /elsewhere", ""),
    ],
)
def test_where_it_was_written_is_not_told(words: str, told: str) -> None:
    assert bench._asked(words.split()) == told


def test_nor_under_a_shorter_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--wri", "/somewhere/out.md"])
    with pytest.raises(SystemExit):
        bench._arguments()
    assert "unrecognized arguments: --wri" in capsys.readouterr().err


async def test_the_bank_leaves_a_connection_that_the_cashier_has_closed() -> None:
    """A notice that is lost is brought again a second later, which would be measured as the cashier's."""

    async def answer_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer_and_close, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/notices"
    bearer = _Bearer()
    async with server:
        for _ in range(2):
            reply = await bearer.call("POST", url, body=b"", headers={}, deadline_seconds=5)
            assert reply.status == 204
            await asyncio.sleep(0.1)  # until the end of the connection is heard of
    for _, writer in bearer._free:
        writer.close()
