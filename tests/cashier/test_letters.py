"""Whoever sends a form in parts says how they are written, and so can send half of a letter."""

from urllib.parse import urlencode

import httpx
import pytest

from tests.cashier import test_views, withdrawing
from tests.payments import conftest

provider = conftest.provider
world = conftest.world
payer = test_views.browser
bank = conftest.bank
stage = conftest.stage
taker = withdrawing.browser

HALF = "+2AA-"  # in UTF-7, as Python reads it


async def sent(client: httpx.AsyncClient, path: str, fields: dict[str, str]) -> httpx.Response:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    kind = "multipart/form-data; boundary=b; charset=utf-7"
    return await client.post(path, content="".join(parts) + "--b--", headers={"content-type": kind})


def is_malformed(answer: httpx.Response, param: str) -> bool:
    told = answer.json()
    return (answer.status_code, told["code"], told["param"]) == (400, "malformed_field", param)


@pytest.mark.parametrize("field", ["key", "form_token", "method", "amount", "lang"])
async def test_a_deposit_with_half_a_letter(payer: test_views.Browser, field: str) -> None:
    good = {"key": payer.key, "form_token": "form-1", "method": "card", "amount": "1500", "lang": "en"}
    answer = await sent(payer.client, "/cashier/deposit", {**good, field: good[field] + HALF})
    assert is_malformed(answer, field)
    assert await payer.payments() == 0
    assert (await sent(payer.client, "/cashier/deposit", good)).status_code == 303


@pytest.mark.parametrize("path", ["/cashier/withdraw", "/cashier/withdraw/review"])
@pytest.mark.parametrize("field", ["key", "amount", "to_e_wallet_wallet"])
async def test_a_withdrawal_with_half_a_letter(taker: withdrawing.Browser, path: str, field: str) -> None:
    good = {"key": taker.key, "form_token": "form-1", "amount": "1500", "lang": "en", **withdrawing.WALLET}
    assert is_malformed(await sent(taker.client, path, {**good, field: good[field] + HALF}), field)
    await taker.nothing_happened()


async def test_nor_is_the_name_of_a_field_one(taker: withdrawing.Browser) -> None:
    good = {"key": taker.key, "form_token": "form-1", "amount": "1500", "lang": "en", **withdrawing.WALLET}
    answer = await sent(taker.client, "/cashier/withdraw/review", {**good, f"to_{HALF}": HALF})
    assert is_malformed(answer, "body")
    await taker.nothing_happened()


async def test_a_destination_that_stands_twice_is_nowhere(taker: withdrawing.Browser) -> None:
    field = "to_e_wallet_wallet"
    good = {"key": taker.key, "form_token": "form-1", "amount": "1500", "lang": "en", **withdrawing.WALLET}
    twice = urlencode([*good.items(), (field, "other77")])
    for path in ("/cashier/withdraw", "/cashier/withdraw/review"):
        assert is_malformed(await taker.client.post(path, content=twice, headers=withdrawing.FORM), field)
    await taker.nothing_happened()
