"""What every gateway makes of answers about balances, cards, instruments, disputes and money that comes back.

The answers are a stub's on a real socket; what the real sandbox provider says is in `test_gateways`.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.providers.contract import (
    DisputeReport,
    DisputeStage,
    InstrumentSeen,
    ProviderError,
    RawNotice,
    Result,
    State,
    Tokenised,
)
from app.providers.gateways import sandbox
from tests.contracts.rigs import CARD, RIGS, SPOILT, Rig, Spoil
from tests.payments.peers import SILENCE_SECONDS, Manner, answering, dripping, endless, hanging, resetting

BALANCE = {"available_minor": 5_000_000, "currency": "KZT"}
GIVEN = {"token": "tok_abc", "masked": "411111******1111", "fingerprint": "fpr_abc"}
NO_MARKS: list[object] = [None, "", 7, "t\x00", "ä", "t" * 200, CARD, []]
SEEN = {"method": "card", **GIVEN}
DISPUTE: dict[str, Any] = {
    "id": "dsp_1",
    "stage": "opened",
    "amount_minor": 150_000,
    "currency": "KZT",
    "reason": "not recognised",
    "due_at": "2026-12-05T12:00:00+00:00",
}


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest, clock: MovableClock) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield await RIGS[request.param](stack, clock)


def hurried(monkeypatch: pytest.MonkeyPatch, manner: Manner) -> None:
    """Do not wait long for a peer that never answers; the others have their time on a busy machine too."""
    if manner in (hanging, dripping):
        monkeypatch.setattr(sandbox, "DEADLINE_SECONDS", SILENCE_SECONDS)


def noticed(rig: Rig, **said: object) -> RawNotice:
    told = {**rig.answer("att_1"), "notice_id": "ntc_1", "occurred_at": "2026-11-21T12:00:00+00:00", **said}
    return RawNotice("/", {}, json.dumps(told).encode())


async def told(rig: Rig, more: dict[str, object]) -> dict[str, Result]:
    """What every call makes of an answer that says paid, and more."""
    return await rig.told(lambda reference: answering({**rig.answer(reference), **more}))


@pytest.mark.parametrize(
    ("word", "state"),
    [("returned", State.RETURNED), ("reversed", State.REVERSED), ("unknown", State.UNKNOWN)],
)
async def test_money_that_came_back_and_what_nobody_knows(rig: Rig, word: str, state: State) -> None:
    results = await told(rig, {"status": word})
    assert {result.state for result in results.values()} == {state}
    if state is not State.UNKNOWN:
        assert {result.amount for result in results.values()} == {Money(150_000, "KZT")}
        assert all(result.error is not None for result in results.values())
    [report] = rig.gateway.parse(rig.account, noticed(rig, status=word))
    assert (report.reference, report.result.state) == ("att_1", state)


async def test_no_player_is_needed_for_a_payout_or_a_refund(rig: Rig) -> None:
    for kind in ("payout", "refund"):
        said: dict[str, object] = {
            "status": "awaiting_player",
            "kind": kind,
            "redirect_url": "https://pay.example.com/1",
        }
        results = await told(rig, said)
        assert {result.state for result in results.values()} == {State.UNKNOWN}
        assert not any(result.next_action for result in results.values())


async def test_an_answer_about_another_kind_of_order_is_not_about_ours(rig: Rig) -> None:
    kinds = {"deposit": "deposit", "payout": "pay_out", "refund": "refund"}
    for kind, call in kinds.items():
        results = await told(rig, {"kind": kind})
        paid = {name for name, result in results.items() if result.state is State.SUCCEEDED}
        assert paid == {call, "status"} | ({"cancel"} if kind == "deposit" else set())


async def test_what_is_about_the_provider_may_be_tried_elsewhere_and_nothing_else(rig: Rig) -> None:
    for code, again in (("51", True), ("91", True), ("05", False), ("14", False), ("78", False), ("", False)):
        said: dict[str, object] = {"status": "declined", "code": code, "message": "no"}
        results = await told(rig, said)
        for result in results.values():
            assert result.state is State.FAILED
            assert result.error is not None
            assert result.error.retryable is again
            assert result.error.undeliverable is (code == "78")


async def test_only_a_definite_no_carries_a_reason(rig: Rig) -> None:
    """Who is pending, paid or unknown under such a code has refused nothing."""
    for status in ("pending", "approved", "unknown", "mystery"):
        results = await told(rig, {"status": status, "code": "91"})
        assert all(result.state is not State.FAILED for result in results.values())
        assert not any(result.error and result.error.retryable for result in results.values())


async def test_a_balance_is_a_sum_in_the_currency_asked_for(rig: Rig) -> None:
    balance, _ = await rig.said(answering(BALANCE))
    assert balance == Money(5_000_000, "KZT")
    balance, _ = await rig.said(answering({**BALANCE, "available_minor": 0}))
    assert balance == Money(0, "KZT")


@pytest.mark.parametrize(
    "manner",
    [
        *(hanging, dripping, endless, resetting),
        *(answering(BALANCE, status) for status in (201, 204, 302, 400, 401, 404, 429, 500, 503)),
        *(answering(body) for body in (b"", b"[]", b"null", b"5000000", b"{", b"[" * 60_000)),
        *(answering({**BALANCE, "currency": other}) for other in ("USD", "kzt", "ZZZ", None, 7, ["KZT"])),
        *(
            answering({**BALANCE, "available_minor": other})
            for other in (None, "5", 5.0, True, -1, 10**15 + 1)
        ),
    ],
)
async def test_what_is_no_balance_is_none(rig: Rig, manner: Manner, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch, manner)
    balance, _ = await rig.said(manner)
    assert balance is None


async def test_a_card_becomes_a_token(rig: Rig) -> None:
    for status in (200, 201):
        _, given = await rig.said(answering(GIVEN, status))
        assert given == Tokenised("tok_abc", "411111******1111", "fpr_abc")
        assert "tok_abc" not in repr(given)


async def test_the_providers_no_to_a_card_is_told_from_no_answer(rig: Rig) -> None:
    _, refused = await rig.said(answering({"code": "14", "message": f"unknown card {CARD}"}, 400))
    assert isinstance(refused, ProviderError)
    assert (refused.code, refused.retryable) == ("14", False)
    assert CARD not in repr(refused)


@pytest.mark.parametrize(
    "manner",
    [
        *(hanging, dripping, endless, resetting),
        *(answering(GIVEN, status) for status in (202, 302, 400, 401, 403, 404, 409, 429, 500, 503)),
        *(answering(body) for body in (b"", b"[]", b"null", b"{", b'"tok_abc"')),
        *(answering({**GIVEN, "token": other}) for other in NO_MARKS),
        *(answering({**GIVEN, "fingerprint": other}) for other in NO_MARKS),
    ],
)
async def test_what_gives_no_token_says_nothing_of_the_card(
    rig: Rig, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, manner)
    _, given = await rig.said(manner)
    assert isinstance(given, ProviderError)
    assert given.retryable
    assert CARD not in repr(given)


async def test_the_instrument_is_told_with_the_payment(rig: Rig) -> None:
    results = await told(rig, {"instrument": SEEN})
    expected = InstrumentSeen("card", "411111******1111", "fpr_abc", "tok_abc")
    assert {result.instrument for result in results.values()} == {expected}
    for result in results.values():
        assert "tok_abc" not in repr(result) + json.dumps(dict(result.raw))
    without_token = {name: value for name, value in SEEN.items() if name != "token"}
    [report] = rig.gateway.parse(rig.account, noticed(rig, instrument=without_token))
    assert report.result.instrument == InstrumentSeen("card", "411111******1111", "fpr_abc")


@pytest.mark.parametrize(
    "spoilt",
    [
        *(None, "card", [SEEN], 7),
        *(
            {**SEEN, name: other}
            for name in ("method", "masked", "fingerprint")
            for other in (None, "", 7, CARD)
        ),
        *({**SEEN, "token": other} for other in ("", 7, CARD, "t\n")),
        {**SEEN, "masked": f"card {CARD}"},
    ],
    ids=repr,
)
async def test_an_instrument_that_cannot_be_read_is_none_and_the_payment_stands(
    rig: Rig, spoilt: object
) -> None:
    [report] = rig.gateway.parse(rig.account, noticed(rig, instrument=spoilt))
    assert (report.result.state, report.result.instrument) == (State.SUCCEEDED, None)


async def test_a_dispute_is_about_the_deposit_and_changes_nothing_of_its_outcome(rig: Rig) -> None:
    for stage in DisputeStage:
        [report] = rig.gateway.parse(rig.account, noticed(rig, dispute={**DISPUTE, "stage": stage.value}))
        assert (report.reference, report.result.state) == ("att_1", State.UNKNOWN)
        assert report.result.amount is None
        assert report.dispute is not None
        due_at = report.dispute.due_at
        assert due_at is not None
        assert report.dispute == DisputeReport(
            "dsp_1", stage, Money(150_000, "KZT"), "not recognised", due_at
        )


@pytest.mark.parametrize("due_at", [None, "soon", 7])
async def test_a_dispute_without_a_usable_date_has_none(rig: Rig, due_at: object) -> None:
    [report] = rig.gateway.parse(rig.account, noticed(rig, dispute={**DISPUTE, "due_at": due_at}))
    assert report.dispute is not None
    assert report.dispute.due_at is None


@pytest.mark.parametrize(
    "spoilt",
    [
        *(None, "opened", [DISPUTE], {}),
        *({**DISPUTE, "id": other} for other in (None, "", 7, CARD, "d\x00")),
        *({**DISPUTE, "stage": other} for other in (None, "", "closed", "OPENED", ["opened"], {"a": 1})),
        *({**DISPUTE, "amount_minor": other} for other in (None, 0, -1, "1", 1.5, True)),
        *({**DISPUTE, "currency": other} for other in (None, "kzt", "ZZZ")),
    ],
    ids=repr,
)
async def test_a_dispute_that_cannot_be_read_is_never_read_as_a_payment(rig: Rig, spoilt: object) -> None:
    assert rig.gateway.parse(rig.account, noticed(rig, dispute=spoilt)) == []


async def test_no_card_number_comes_out_of_a_dispute(rig: Rig) -> None:
    said = {**DISPUTE, "reason": f"card {CARD}\r\nX: y"}
    [report] = rig.gateway.parse(
        rig.account, noticed(rig, dispute=said, card=CARD, more=[{"pan": int(CARD)}])
    )
    shown = repr(report) + json.dumps(dict(report.result.raw))
    assert CARD not in shown
    assert "\r" not in shown


async def test_garbage_about_a_payout_or_a_refund_is_unknown(rig: Rig) -> None:
    for name, spoil in SPOILT.items():
        for kind, call in (("payout", "pay_out"), ("refund", "refund")):

            def spoilt(reference: str, spoil: Spoil = spoil, kind: str = kind) -> Manner:
                return answering(spoil({"kind": kind, **rig.answer(reference)}))

            results = await rig.told(spoilt)
            assert results[call].state is State.UNKNOWN, (name, kind)
            assert results["status"].state is State.UNKNOWN, (name, kind)
