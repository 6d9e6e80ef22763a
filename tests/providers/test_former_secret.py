"""The secret before: for a while notices may be signed with it, and never anything that is sent."""

import asyncio
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from app import providers, staff
from app.plumbing.database import Transaction
from app.plumbing.http import Reply
from tests.demo.servers import hmac_signed
from tests.providers.gate import BODY, SECRET, Gate
from tests.wallet.locking import blocked

NEXT, THIRD = "the-next-secret", "the-third-secret"
DAY = timedelta(hours=24)


async def rotate(gate: Gate, secret: str = NEXT, **more: Any) -> datetime | None:  # noqa: ANN401
    async with gate.database.transaction() as tx:
        return await rotated(tx, gate, secret, **more)


async def rotated(
    tx: Transaction,
    gate: Gate,
    secret: str = NEXT,
    **more: Any,  # noqa: ANN401  of `rotate_secret`
) -> datetime | None:
    at = gate.clock.now()
    return await providers.rotate_secret(tx, gate.site_id, "main", secret, by="machine:tests", at=at, **more)


async def end(gate: Gate, name: str = "main") -> bool:
    async with gate.database.transaction() as tx:
        at = gate.clock.now()
        return await providers.end_former_secret(tx, gate.site_id, name, by="machine:tests", at=at)


async def main(gate: Gate) -> providers.ProviderAccount:
    async with gate.database.reading() as reader:
        return await providers.account(reader, gate.site_id, "main")


async def heard(gate: Gate, secret: str) -> bool:
    """Whether a notice that is signed with a secret is taken in."""
    answer = await gate.knock(signature=hmac_signed(BODY, secret))
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


async def noted(gate: Gate) -> list[Any]:
    async with gate.database.reading() as reader:
        lines = await staff.diary(reader, gate.site_id)
    return [(one.deed.removeprefix("provider_account."), one.detail) for one in reversed(lines)]


async def test_notices_signed_with_either_are_taken_in_until_the_former_ends(gate: Gate) -> None:
    begun = gate.clock.now()
    assert await rotate(gate) == begun + DAY
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD, "")] == [True, True, False, False]
    gate.clock.advance(DAY - timedelta(microseconds=1))
    assert await heard(gate, SECRET)
    gate.clock.advance(timedelta(microseconds=1))
    assert [await heard(gate, one) for one in (SECRET, NEXT)] == [False, True]
    assert await noted(gate) == [("secret_rotated", {"former_until": (begun + DAY).isoformat()})]


async def test_what_the_former_signed_is_stored_once_read_and_logged(gate: Gate) -> None:
    await rotate(gate)
    with capture_logs() as lines:
        await heard(gate, SECRET)
        await heard(gate, NEXT)
    [row] = await gate.rows()
    assert (bytes(row.body), row.arrivals, await gate.jobs()) == (BODY, 2, 1)
    told = [line for line in lines if line["event"] == "notice.former_secret"]
    [line] = told
    assert (line["site_id"], line["account"], line["notice_id"]) == (gate.site_id, "main", row.notice_id)
    assert line["until"] == (gate.clock.now() + DAY).isoformat()
    assert line["ended_by"] == f"cashier provider end-former-secret {gate.site_id} main"
    assert SECRET not in str(lines)


async def test_of_one_that_comes_again_the_line_names_the_notice_that_is_stored(gate: Gate) -> None:
    await heard(gate, SECRET)
    [row] = await gate.rows()
    await rotate(gate)
    with capture_logs() as lines:
        await heard(gate, SECRET)
    assert [line["notice_id"] for line in lines if line["event"] == "notice.former_secret"] == [row.notice_id]


async def test_one_that_has_ended_does_not_stay_in_its_row(gate: Gate) -> None:
    async def forgotten() -> int:
        async with gate.database.transaction() as tx:
            return await providers.forget_former_secrets(tx, now=gate.clock.now())

    await rotate(gate)
    gate.clock.advance(DAY - timedelta(microseconds=1))
    assert await forgotten() == 0
    assert await heard(gate, SECRET)
    gate.clock.advance(timedelta(microseconds=1))
    assert (await forgotten(), await forgotten()) == (1, 0)
    [row] = await gate.rows("SELECT * FROM provider_account WHERE account = 'main'")
    assert (row.former_secret, row.former_secret_ends_at) == (None, None)
    assert [await heard(gate, one) for one in (SECRET, NEXT)] == [False, True]
    assert len(await noted(gate)) == 1


async def test_nothing_is_sent_with_the_former(gate: Gate) -> None:
    await rotate(gate)
    found, sent = await main(gate), []

    class Wire:
        async def call(self, *_: object, headers: dict[str, str], **__: object) -> Reply:
            sent.append(headers["x-sandbox-signature"])
            return Reply(404, {}, b'{"status": "not_found"}', 1)

    wire: Any = Wire()
    await providers.gateway_of(found).status(wire, found, "att_1")
    assert sent == [hmac_signed(b"/v1/orders/att_1", NEXT)]
    assert found.credentials == {"account": "us", "secret": NEXT}
    assert SECRET not in repr(found)


async def test_a_second_rotation_says_what_becomes_of_the_former(gate: Gate) -> None:
    """The provider may still sign with it: who corrects a mistake must not end it unawares."""
    await rotate(gate)
    gate.clock.advance(timedelta(hours=1))
    with pytest.raises(
        providers.BadAccount, match=r"the one before is good until .* UTC: end that, or keep it"
    ):
        await rotate(gate, THIRD, overlap_hours=2)
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [True, True, False]
    await end(gate)
    assert await rotate(gate, THIRD, overlap_hours=2) == gate.clock.now() + timedelta(hours=2)
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [False, True, True]
    gate.clock.advance(timedelta(hours=2))
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [False, False, True]


async def test_who_corrects_a_mistake_keeps_the_former(gate: Gate) -> None:
    until = await rotate(gate)
    gate.clock.advance(timedelta(hours=1))
    assert await rotate(gate, THIRD, keep_former=True) == until
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [True, False, True]
    gate.clock.advance(DAY - timedelta(hours=1))
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [False, False, True]


async def test_without_an_overlap_both_end_at_once(gate: Gate) -> None:
    await rotate(gate)
    assert await rotate(gate, THIRD, overlap_hours=0) is None
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [False, False, True]
    [row] = await gate.rows("SELECT * FROM provider_account WHERE account = 'main'")
    assert (row.former_secret, row.former_secret_ends_at) == (None, None)
    deed, detail = (await noted(gate))[-1]
    assert (deed, detail["former_until"]) == ("secret_rotated", None)
    assert detail["was_former_until"] is not None


async def test_the_same_secret_again_is_refused_and_the_former_stays(gate: Gate) -> None:
    """A command that is run again, as nobody saw whether it had happened, must not end the former."""
    await rotate(gate)
    with pytest.raises(providers.BadAccount, match="The account's secret is the one that it has already"):
        await rotate(gate)
    assert [await heard(gate, one) for one in (SECRET, NEXT)] == [True, True]
    assert len(await noted(gate)) == 1


@pytest.mark.parametrize("hours", [-1, 721, 10**12])
async def test_an_overlap_that_can_be_none_is_refused(gate: Gate, hours: int) -> None:
    with pytest.raises(providers.BadAccount, match="The account's overlap must be 0 to 720 hours"):
        await rotate(gate, overlap_hours=hours)
    assert [await heard(gate, one) for one in (SECRET, NEXT)] == [True, False]


async def test_an_account_without_a_secret_has_none_before(gate: Gate) -> None:
    async with gate.database.transaction() as tx:
        at, by = gate.clock.now(), "machine:tests"
        assert await providers.rotate_secret(tx, gate.site_id, "open", NEXT, by=by, at=at) is None
    for secret, status in (("", 401), (NEXT, 200)):
        signed = hmac_signed(BODY, secret)
        answer = await gate.knock(path=f"/notices/{gate.site_id}/open", signature=signed)
        assert answer.status_code == status


async def test_the_former_is_ended_before_its_time(gate: Gate) -> None:
    until = await rotate(gate)
    assert until is not None
    assert await end(gate)
    assert [await heard(gate, one) for one in (SECRET, NEXT)] == [False, True]
    assert not await end(gate)
    before = {"former_until": until.isoformat()}
    assert (await noted(gate))[1:] == [("former_secret_ended", {"now": None, "before": before})]


async def test_one_that_has_ended_by_itself_is_forgotten_without_a_word(gate: Gate) -> None:
    await rotate(gate)
    gate.clock.advance(DAY)
    assert not await end(gate)
    [row] = await gate.rows("SELECT * FROM provider_account WHERE account = 'main'")
    assert (row.former_secret, row.former_secret_ends_at) == (None, None)
    assert len(await noted(gate)) == 1


async def test_of_two_who_rotate_at_once_the_second_hears_of_the_first(gate: Gate, clone_url: str) -> None:
    outside = copy_context()  # where no transaction is open
    async with gate.database.transaction() as tx:
        await rotated(tx, gate, NEXT)
        other = asyncio.create_task(rotate(gate, THIRD), context=outside)
        await blocked(clone_url)
    with pytest.raises(providers.BadAccount, match="end that, or keep it"):
        await other
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [True, True, False]


async def test_other_accounts_and_the_number_of_today_are_untouched(gate: Gate) -> None:
    await rotate(gate)
    async with gate.database.transaction() as tx:
        change, at = providers.AccountChange(merchant_id="us-2"), gate.clock.now()
        await providers.change_account(tx, gate.site_id, "main", change, by="machine:tests", at=at)
    former = (await main(gate)).before_rotation(gate.clock.now())
    assert former is not None
    assert former.credentials == {"account": "us-2", "secret": SECRET}
    assert (former.former_secret, former.former_secret_ends_at) == (None, None)
    assert former.base_url == (await main(gate)).base_url
    answer = await gate.knock(path=f"/notices/{gate.site_id}/open")
    assert answer.status_code == 401


async def test_what_is_written_anew_has_no_former(gate: Gate) -> None:
    await rotate(gate)
    async with gate.database.transaction() as tx:
        await providers.seed_account(
            tx,
            gate.site_id,
            "main",
            gateway="sandbox",
            base_url="https://pay.example.com",
            credentials={"account": "us", "secret": THIRD},
        )
    assert [await heard(gate, one) for one in (SECRET, NEXT, THIRD)] == [False, False, True]


HALVES = [
    "UPDATE provider_account SET former_secret = 'x'",
    "UPDATE provider_account SET former_secret_ends_at = now()",
]


@pytest.mark.parametrize("half", HALVES)
async def test_the_database_keeps_no_former_secret_without_its_end(gate: Gate, half: str) -> None:
    with pytest.raises(IntegrityError, match="a_former_secret_ends"):
        async with gate.database.transaction() as tx:
            await tx.execute(text(half))
