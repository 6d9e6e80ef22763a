"""Before the bank hears no more evidence about a dispute the merchant is told, once for each date."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.payments import reminders
from app.payments.dispute_telling import tell_evidence_due
from app.payments.disputes import move_dispute
from app.payments.reminders import remind_of_evidence
from app.payments.states import DisputeState
from app.webhooks import endpoints
from tests.conftest import ROOT
from tests.payments.desk import Desk
from tests.payments.questions import agree
from tests.payments.test_disputes import disputes, say

D = DisputeState


@pytest.fixture
async def heard(desk: Desk) -> AsyncIterator[Desk]:
    """A desk whose merchant hears of events."""
    async with desk.world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/", ("dispute.*",))
        await endpoints.register(tx, desk.site_id, new, at=desk.world.clock.now())
    yield desk
    await agree(desk.world)


async def opened(desk: Desk, *, due_in: timedelta, stage: str = "opened", number: str = "cb-1") -> str:
    deposit = await desk.deposit(f"theirs-{number}")
    await say(desk, deposit, stage, number=number, due_at=(desk.world.clock.now() + due_in).isoformat())
    return deposit


async def told(desk: Desk) -> list[tuple[str, int]]:
    rows = await desk.world.rows(
        "SELECT type, sequence FROM event WHERE type LIKE 'dispute.%' ORDER BY subject, sequence"
    )
    return [(row.type.removeprefix("dispute."), row.sequence) for row in rows]


async def test_it_is_told_once_three_days_before(heard: Desk) -> None:
    await opened(heard, due_in=timedelta(days=10))
    for after, times in (
        (timedelta(days=7, seconds=-1), 0),
        (timedelta(seconds=1), 1),
        (timedelta(days=1), 0),
    ):
        heard.world.clock.advance(after)
        assert [await remind_of_evidence(heard.pipes) for _ in range(2)] == [times, 0]
    assert await told(heard) == [("opened", 1), ("evidence_due", 2)]
    [row] = await heard.world.rows("SELECT * FROM event WHERE type = 'dispute.evidence_due'")
    assert (row.object["status"], row.previous_attributes) == ("opened", {})
    assert row.object["due_at"] == "2026-12-01T12:00:00+00:00"


async def test_what_comes_next_has_the_next_number(heard: Desk) -> None:
    deposit = await opened(heard, due_in=timedelta(days=2))
    assert await remind_of_evidence(heard.pipes) == 1  # less than three days are left: at once
    await say(heard, deposit, "lost")
    assert await told(heard) == [("opened", 1), ("evidence_due", 2), ("lost", 3)]
    [its] = await disputes(heard, deposit)
    assert (its.state, its.sequence) == (D.LOST, 3)
    await say(heard, deposit, "won")
    assert (await heard.figures(deposit))[3] == 0  # what was taken is found, whatever was told between
    assert await heard.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_another_date_is_told_of_again(heard: Desk) -> None:
    deposit = await opened(heard, due_in=timedelta(days=2))
    assert await remind_of_evidence(heard.pipes) == 1
    later = (heard.world.clock.now() + timedelta(days=9)).isoformat()
    await say(heard, deposit, "needs_response", due_at=later)
    assert await remind_of_evidence(heard.pipes) == 0
    heard.world.clock.advance(timedelta(days=7))
    assert await remind_of_evidence(heard.pipes) == 1
    assert [name for name, _ in await told(heard)] == [
        "opened", "evidence_due", "needs_response", "evidence_due",
    ]  # fmt: skip


@pytest.mark.parametrize("first", [timedelta(days=2), None])
async def test_a_date_that_is_told_later_or_anew_counts(heard: Desk, first: timedelta | None) -> None:
    now = heard.world.clock.now()
    deposit = await heard.deposit()
    dates: Any = {"due_at": (now + first).isoformat()} if first else {}
    await say(heard, deposit, "needs_response", **dates)
    later = now + timedelta(days=9)
    for _ in range(2):
        await say(heard, deposit, "needs_response", due_at=later.isoformat())
        await say(heard, deposit, "needs_response")  # without one nothing is said of it
    [its] = await disputes(heard, deposit)
    assert (its.due_at, its.sequence) == (later, 2)
    assert await told(heard) == [("needs_response", 1), ("needs_response", 2)]
    heard.world.clock.advance(timedelta(days=6))
    assert await remind_of_evidence(heard.pipes) == 1
    await say(heard, deposit, "won", due_at=later.isoformat())
    await say(heard, deposit, "won", due_at=now.isoformat())  # it is over: no date matters
    assert [name for name, _ in await told(heard)][-2:] == ["evidence_due", "won"]


async def test_nothing_is_due_of_what_was_answered_or_is_over_or_too_late(heard: Desk) -> None:
    answered = await opened(heard, due_in=timedelta(days=4), number="cb-1")
    [its] = await disputes(heard, answered)
    await say(
        heard, answered, "needs_response", number="cb-1", due_at=its.due_at.isoformat() if its.due_at else ""
    )
    await move_dispute(
        heard.pipes, heard.site_id, its.dispute_id, heard.maker, D.SUBMITTED, note="the receipt"
    )
    over = await opened(heard, due_in=timedelta(days=4), number="cb-2")
    await say(
        heard, over, "won", number="cb-2", due_at=(heard.world.clock.now() + timedelta(days=4)).isoformat()
    )
    await opened(heard, due_in=timedelta(days=4), stage="early_warning", number="cb-3")
    await opened(heard, due_in=timedelta(minutes=-1), number="cb-4")
    heard.world.clock.advance(timedelta(days=2))
    assert await remind_of_evidence(heard.pipes) == 0


async def test_one_that_cannot_be_told_keeps_no_other_waiting(
    heard: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("cb-1", "cb-2"):
        await opened(heard, due_in=timedelta(days=1), number=number)
    failed: list[object] = []

    async def fails_once(*args: Any, **more: Any) -> None:  # noqa: ANN401
        if not failed:
            failed.append(args)
            raise RuntimeError("it cannot be told")
        await tell_evidence_due(*args, **more)

    monkeypatch.setattr(reminders, "tell_evidence_due", fails_once)
    assert await remind_of_evidence(heard.pipes) == 1
    assert await remind_of_evidence(heard.pipes) == 1  # what failed was not marked as told
    assert await remind_of_evidence(heard.pipes) == 0


async def test_the_event_that_is_shown_has_the_members_of_what_is_sent(heard: Desk) -> None:
    await opened(heard, due_in=timedelta(days=1))
    await remind_of_evidence(heard.pipes)
    document = json.loads((ROOT / "openapi" / "webhooks.json").read_text())
    for name in ("dispute.opened", "dispute.evidence_due"):
        [row] = await heard.world.rows("SELECT object FROM event WHERE type = :name", name=name)
        shown = find_example(document, name)["data"]["object"]
        # The framework leaves out what is null in an example.
        assert shown.keys() == {member for member, value in row.object.items() if value is not None}, name


def find_example(document: Any, name: str) -> Any:  # noqa: ANN401  plain JSON
    """The event of this type among the document's examples."""
    match document:
        case {"type": str(type_), "data": {"object": dict()}} if type_ == name:
            return document
        case dict():
            return next((one for value in document.values() if (one := find_example(value, name))), {})
        case list():
            return next((one for value in document if (one := find_example(value, name))), {})
        case _:
            return {}
