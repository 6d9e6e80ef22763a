"""docs/examples/payout_initiation.py, for people to copy, against a stub of the cashier."""

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.responses import HTMLResponse, JSONResponse, Response

from app.kernel import signing
from tests.conftest import ROOT
from tests.demo.servers import Peer, Serve

FILE: Final = ROOT / "docs" / "examples" / "payout_initiation.py"
ORDER_ID: Final = "217742619264065507927945843197"
FIELDS: Final = {
    "site_id": "2",
    "site_login": "игрок",
    "amount": "400000",
    "currency": "USD",
    "external_id": "704224078",
    "comment": "",
}


def _example() -> Any:  # noqa: ANN401  a module that is no part of the house
    spec = importlib.util.spec_from_file_location("payout_initiation", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example: Any = _example()


def yes() -> JSONResponse:
    return JSONResponse({"success": True, "errors": "", "code": 0, "transaction_id": 1, "order_id": ORDER_ID})


def no(status: int, reason: str = "The amount differs.") -> JSONResponse:
    return JSONResponse({"success": False, "errors": reason, "code": status}, status_code=status)


async def initiated(peer: Peer, serve: Serve, tries: int = 3) -> str:
    url = await serve(peer.app)
    pauses = (0.01,) * (tries - 1)
    return str(await asyncio.to_thread(example.initiate, url, "some salt", FIELDS, pauses))


async def test_the_message_is_what_the_cashier_reads(peer: Peer, serve: Serve) -> None:
    peer.answers = [yes()]
    assert await initiated(peer, serve) == ORDER_ID
    [heard] = peer.heard
    assert heard["path"] == "/api/payout/"
    found = signing.read(signing.PAYOUT_INITIATION, signing.pairs_from_json(heard["body"]))
    assert signing.matches(found, found["signature"], ["some salt"]) == 0


@pytest.mark.parametrize(
    "useless",
    [
        no(404),
        no(429),
        no(503),
        HTMLResponse("<h1>Bad gateway</h1>", status_code=502),
        HTMLResponse("OK"),
        JSONResponse([True]),
        JSONResponse({"success": True}),
        JSONResponse({"success": "true", "order_id": "1"}),
    ],
)
async def test_what_is_no_answer_is_asked_again_with_the_same_bytes(
    peer: Peer, serve: Serve, useless: Response
) -> None:
    peer.answers = [useless, useless, yes()]
    assert await initiated(peer, serve) == ORDER_ID
    assert len({heard["body"] for heard in peer.heard}) == 1
    assert len(peer.heard) == 3


@pytest.mark.parametrize("status", [200, 400, 403, 409, 422])
async def test_a_no_is_believed_at_once(peer: Peer, serve: Serve, status: int) -> None:
    peer.answers = [no(status)]
    with pytest.raises(example.NotPaid, match="The amount differs"):
        await initiated(peer, serve)
    assert len(peer.heard) == 1


async def test_a_withdrawal_that_stays_unheard_of_is_a_no(peer: Peer, serve: Serve) -> None:
    peer.answers = [no(404, "There is no such withdrawal.")]
    with pytest.raises(example.NotPaid, match="no such withdrawal"):
        await initiated(peer, serve)
    assert len(peer.heard) == 3


async def test_when_nothing_was_understood_nobody_knows(peer: Peer, serve: Serve) -> None:
    peer.answers = [no(500)]
    with pytest.raises(example.Unknown):
        await initiated(peer, serve)
    with pytest.raises(example.Unknown, match="no answer"):
        await asyncio.to_thread(example.initiate, "http://127.0.0.1:9", "s", FIELDS, (0.01,))


async def test_a_signature_that_is_not_known_says_nothing_of_the_withdrawal(peer: Peer, serve: Serve) -> None:
    peer.answers = [no(503), no(401, "Not authentic.")]
    with pytest.raises(example.NotAuthentic, match=r"Not authentic\."):
        await initiated(peer, serve)
    assert len(peer.heard) == 2
    assert not issubclass(example.NotAuthentic, example.NotPaid), "its handler gives the money back"


async def test_an_answer_that_breaks_off_is_asked_again(peer: Peer, serve: Serve) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
        assert length is not None
        # A server that closes with something unread takes back its answer.
        await reader.readexactly(int(length[1]))
        broken_off = b'{"success": false'
        writer.write(b"HTTP/1.1 %d -\r\ncontent-length: 100\r\n\r\n%b" % (next(statuses), broken_off))
        await writer.drain()
        writer.close()

    statuses = iter((200, 409))
    async with await asyncio.start_server(broken, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(example.Unknown, match="HTTP 409"):
            await asyncio.to_thread(example.initiate, f"http://127.0.0.1:{port}", "s", FIELDS, (0.01,))
    assert next(statuses, None) is None


async def test_it_waits_as_long_as_the_cashier_wants(
    peer: Peer, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(example.time, "sleep", slept.append)
    busy = {"success": False, "errors": "Too many requests.", "code": 429}
    peer.answers = [
        *(JSONResponse(busy, 429, headers={"retry-after": wait}) for wait in ("7", "9999", "tomorrow")),
        yes(),
    ]
    assert await initiated(peer, serve, tries=4) == ORDER_ID
    assert slept == [7, 300, 0.01]


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (no(409), 1, "not paid: The amount differs.\n"),
        (no(401, "Not authentic."), 2, "nothing is known of out_1: Not authentic. Correct the salt"),
    ],
)
async def test_what_went_wrong_is_one_sentence_and_a_status(
    peer: Peer, serve: Serve, tmp_path: Path, answer: Response, status: int, sentence: str
) -> None:
    peer.answers = [answer]
    demo = {"base_url": await serve(peer.app), "site_id": 7, "salt": "some salt", "currency": "KZT"}
    lost = await called(tmp_path, "out_1", "100000", "aigerim")
    assert (lost.returncode, "var/demo.json is not here" in lost.stderr) == (2, True)
    (tmp_path / "var").mkdir()
    (tmp_path / "var/demo.json").write_text(json.dumps(demo))
    done = await called(tmp_path, "out_1", "100000", "aigerim")
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(sentence)
    misused = await called(tmp_path, "out_1")
    assert (misused.returncode, misused.stderr.startswith("usage: ")) == (2, True)


async def called(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """The example as a program."""
    program = [sys.executable, str(FILE), *words]
    return await asyncio.to_thread(
        subprocess.run, program, cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )


async def test_it_runs_as_the_document_says(peer: Peer, serve: Serve, tmp_path: Path) -> None:
    peer.answers = [yes()]
    demo = {"base_url": await serve(peer.app), "site_id": 7, "salt": "some salt", "currency": "KZT"}
    (tmp_path / "var").mkdir()
    (tmp_path / "var/demo.json").write_text(json.dumps(demo))
    done = await called(tmp_path, "out_1", "100000", "aigerim")
    assert (done.returncode, done.stdout) == (0, f"{ORDER_ID}\n"), done.stderr
    found = signing.read(signing.PAYOUT_INITIATION, signing.pairs_from_json(peer.heard[0]["body"]))
    assert (found["external_id"], found["amount"], found["site_login"]) == ("out_1", "100000", "aigerim")
