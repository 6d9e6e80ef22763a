"""A card number in a notice is masked in whatever encoding it comes, and the notice stays readable."""

import json

import pytest

from app.providers.contract import ProviderAccount, RawNotice
from app.providers.gateways.sandbox import GATEWAY
from tests.providers.gate import Gate

CARD = "4111111111111111"
TOLD = {"notice_id": "ntc_1", "reference": "att_1", "status": "pending", "message": f"Карта {CARD}, ақша"}
ACCOUNT = ProviderAccount(101, "main", "sandbox", "https://pay.example.com", "", credentials={})
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
ESCAPED_MARKS = {
    "zero-width spaces": "4111\\u200b1111\\u200b1111\\u200b1111",
    "full-width digits": "".join(f"\\uff1{digit}" for digit in CARD),
    "NUL": "\\u0000".join(CARD),
}


async def kept(gate: Gate, body: bytes) -> bytes:
    """What is stored of a notice."""
    assert (await gate.knock(body)).status_code == 200
    [row] = await gate.rows("SELECT body FROM notice")
    return bytes(row.body)


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_no_card_number_is_stored(gate: Gate, encoding: str) -> None:
    body = await kept(gate, json.dumps(TOLD, ensure_ascii=False).encode(encoding))
    assert json.loads(body) == TOLD | {"message": "Карта 411111...1111, ақша"}
    [report] = GATEWAY.parse(ACCOUNT, RawNotice("/notices/101/main", {}, body))
    assert report.reference == "att_1"


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_what_has_none_is_stored_as_it_came(gate: Gate, encoding: str) -> None:
    body = json.dumps(TOLD | {"message": "Төленді 12.5 · 2026/11/21"}, ensure_ascii=False).encode(encoding)
    assert await kept(gate, body) == body


@pytest.mark.parametrize("how", ESCAPED_MARKS)
async def test_nor_one_in_escapes(gate: Gate, how: str) -> None:
    body = await kept(gate, b'{"message":"card %s"}' % ESCAPED_MARKS[how].encode())
    assert json.loads(body) == {"message": "card 411111...1111"}


@pytest.mark.parametrize(
    "body",
    [
        b"pan=" + "\0".join(CARD).encode(),
        b"{\0" + CARD.encode() + b"\0",
        b"{\0" + CARD.encode(),
        b'{\0"\0' + b"x" + CARD.encode("utf-16-le"),
        json.dumps(TOLD).encode("utf-16-le") + b"!",
        json.dumps(TOLD | {"x": "\ud800"}, ensure_ascii=False).encode("utf-16", "surrogatepass"),
    ],
    ids=["NULs", "like UTF-16 and none", "odd", "out of step", "half a character", "half a pair"],
)
async def test_nor_one_in_what_nobody_can_read(gate: Gate, body: bytes) -> None:
    assert CARD.encode() not in (await kept(gate, body)).replace(b"\0", b"")
