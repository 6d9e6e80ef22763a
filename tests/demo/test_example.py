"""docs/examples/payout_initiation.py, for people to copy, against a stub of the cashier."""

import asyncio
import importlib.util
import json
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


@pytest.mark.parametrize("status", [200, 400, 401, 409, 422])
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
    with pytest.raises(example.Unknown):
        await asyncio.to_thread(example.initiate, "http://127.0.0.1:9", "s", FIELDS, (0.01,))


async def test_it_runs_as_the_document_says(peer: Peer, serve: Serve, tmp_path: Path) -> None:
    peer.answers = [yes()]
    demo = {"base_url": await serve(peer.app), "site_id": 7, "salt": "some salt", "currency": "KZT"}
    (tmp_path / "var").mkdir()
    (tmp_path / "var/demo.json").write_text(json.dumps(demo))
    program = [sys.executable, str(FILE), "out_1", "100000", "aigerim"]
    done = await asyncio.to_thread(
        subprocess.run, program, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{ORDER_ID}\n"), done.stderr
    found = signing.read(signing.PAYOUT_INITIATION, signing.pairs_from_json(peer.heard[0]["body"]))
    assert (found["external_id"], found["amount"], found["site_login"]) == ("out_1", "100000", "aigerim")
