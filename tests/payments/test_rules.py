"""How payments appear outside: numbers, names and times, compared with the protocol's own tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import webhooks
from app.kernel import signing
from app.kernel.money import Money
from app.payments import contract, schedules
from app.payments.states import FINAL, NEXT, DisputeState, Kind, LegState, SubStatus

# protocol.md section 6.1 by payments.md section 2; the events by payments.md section 1.7.
TOLD = """
deposit  created               1   deposit.created
deposit  checking              1   deposit.pending
deposit  risk_review           1   deposit.pending
deposit  awaiting_player       2   deposit.action_required
deposit  submitted             2   deposit.processing
deposit  provider_pending      2   deposit.processing
deposit  unknown               2   transaction.unknown
deposit  conflicted            2   transaction.conflicted
deposit  crediting             2   deposit.processing
deposit  completed             4   deposit.completed
deposit  declined              6   deposit.failed
deposit  provider_error        19  deposit.failed
deposit  limit_blocked         7   deposit.failed
deposit  risk_declined         7   deposit.failed
deposit  merchant_unreachable  10  deposit.failed
deposit  expired               13  deposit.expired
deposit  by_player             14  deposit.cancelled
deposit  by_operator           5   deposit.cancelled
deposit  rejected_by_merchant  5   deposit.cancelled
deposit  refunded              4   deposit.refunded
deposit  charged_back          4   deposit.refunded
deposit  reversed              5   transaction.reversed
payout   requested                 1   withdrawal.requested
payout   cooling                   1   withdrawal.cooling
payout   under_review              3   withdrawal.under_review
payout   awaiting_kyc              3   withdrawal.awaiting_kyc
payout   awaiting_second_approval  3   withdrawal.awaiting_second_approval
payout   approved                  3   withdrawal.approved
payout   allocated                 2   withdrawal.processing
payout   submitted                 2   withdrawal.processing
payout   provider_pending          2   withdrawal.processing
payout   unknown                   2   transaction.unknown
payout   conflicted                2   transaction.conflicted
payout   partly_paid               2   withdrawal.partly_paid
payout   completed                 4   withdrawal.completed
payout   declined                  6   withdrawal.failed
payout   provider_error            19  withdrawal.failed
payout   undeliverable             19  withdrawal.failed
payout   by_player                 14  withdrawal.cancelled
payout   by_operator               5   withdrawal.cancelled
payout   by_system                 5   withdrawal.cancelled
payout   rejected                  5   withdrawal.rejected
payout   rejected_by_merchant      5   withdrawal.rejected
payout   returned                  4   withdrawal.returned
refund   requested                 1   refund.created
refund   awaiting_approval         3   refund.awaiting_approval
refund   awaiting_second_approval  3   refund.awaiting_approval
refund   approved                  3   refund.approved
refund   submitted                 2   refund.processing
refund   provider_pending          2   refund.processing
refund   unknown                   2   transaction.unknown
refund   conflicted                2   transaction.conflicted
refund   completed                 4   refund.completed
refund   declined                  6   refund.failed
refund   provider_error            19  refund.failed
refund   by_operator               5   refund.cancelled
refund   by_system                 5   refund.cancelled
refund   rejected                  5   refund.rejected
"""
ROWS = [line.split() for line in TOLD.strip().splitlines()]

FACTS = contract.PaymentFacts(
    type_id=3,
    number=100_000_001,
    sub_status=SubStatus.COMPLETED,
    amount=Money(150_000, "KZT"),
    real_amount=Money(150_000, "KZT"),
    site_id=101,
    site_login="aigerim",
    customer_purse="",
    external_id="order_1",
    provider_reference="sbx_1",
    message="Approved",
    group_id=1,
    payment_type_id=1,
    customer_ip="127.0.0.1",
    source_type=3,
    completed_at=datetime(2026, 11, 21, 12, 0, 5, 123_456, tzinfo=UTC),
)
SHORT = {
    "site_id": 101,
    "amount": 150_000,
    "currency": "KZT",
    "real_amount": 150_000,
    "real_currency": "KZT",
    "extended_info_enabled": 0,
    "site_login": "aigerim",
    "payment_group_id": 1,
    "display_payment_group_id": 1,
    "payment_type_id": 1,
    "customer_ip": "127.0.0.1",
    "source_type": 3,
    "type_id": 3,
    "status_id": 4,
    "transaction_id": 100_000_001,
    "external_id": "order_1",
    "completed_at": "2026-11-21T12:00:05+00:00",
}


def test_every_state_is_in_the_table() -> None:
    assert {(kind, state) for kind, state, *_ in ROWS} == {
        (kind.value, state.value) for kind in Kind for state in NEXT[kind]
    }
    assert {kind: contract.TYPE_ID[kind] for kind in Kind} == {
        Kind.DEPOSIT: 3,
        Kind.REFUND: 5,
        Kind.PAYOUT: 11,
    }


@pytest.mark.parametrize(("kind", "state", "number", "event"), ROWS)
def test_the_number_and_the_event_of_a_state(kind: str, state: str, number: str, event: str) -> None:
    assert contract.status_id(SubStatus(state)) == int(number)
    assert contract.event_type(Kind(kind), SubStatus(state)) == event
    late = event.replace(".", ".late_") if state == "completed" else event
    assert contract.event_type(Kind(kind), SubStatus(state), is_late=True) == late
    partial = 24 if state in {"completed", "refunded", "charged_back", "returned"} else int(number)
    assert contract.status_id(SubStatus(state), is_partial=True) == partial


def test_every_event_is_one_that_endpoints_can_choose() -> None:
    for kind, state, _, event in ROWS:
        late = contract.event_type(Kind(kind), SubStatus(state), is_late=True)
        for name in (event, late, *contract.event_aliases(event)):
            assert name in webhooks.EVENT_TYPES, name


def test_a_dispute_is_told_by_the_protocols_numbers() -> None:
    told = {DisputeState.SUBMITTED: 21, DisputeState.WON: 22, DisputeState.LOST: 23}
    assert {state: contract.CHARGEBACK_STATUS_ID[state] for state in told} == told
    assert contract.CHARGEBACK_TYPE_ID == 7


def test_what_undoes_a_deposit_is_a_void() -> None:
    """protocol.md section 7: 4, authorization decline (void)."""
    assert contract.VOID_TYPE_ID == 4
    told = contract.notification_fields(replace(FACTS, type_id=contract.VOID_TYPE_ID), extended=False)
    assert (told["type_id"], told["status_id"]) == (4, 4)


def test_what_was_really_paid_is_told_beside_what_was_ordered() -> None:
    facts = replace(FACTS, type_id=11, real_amount=Money(100_000, "KZT"), customer_purse="555555...4444")
    found = contract.notification_fields(facts, extended=False)
    assert (found["amount"], found["real_amount"], found["status_id"]) == (150_000, 100_000, 24)
    assert (found["type_id"], found["customer_purse"]) == (11, "555555...4444")


def test_merchants_are_told_of_final_states_only() -> None:
    assert {state for state in SubStatus if contract.is_told(state)} == FINAL
    # A notification never says that a payment is still open (protocol.md section 4.1).
    assert not {contract.status_id(state) for state in FINAL} & {1, 2, 3}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (Kind.DEPOSIT, "submitted awaiting_player provider_pending unknown expired provider_error"),
        (Kind.PAYOUT, "submitted provider_pending unknown partly_paid"),
        (Kind.REFUND, "submitted provider_pending unknown"),
    ],
)
def test_about_what_the_provider_is_asked(kind: Kind, wanted: str) -> None:
    asked = {state.value for state in NEXT[kind] if schedules.asks_provider(kind, state)}
    assert asked == set(wanted.split())


def test_in_conflict_a_payout_is_asked_about_while_a_part_may_act() -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    soon, later = now + timedelta(minutes=5), now + timedelta(hours=1)
    for state in LegState:
        parts, may_act = [LegState.CONFLICTED, state], state in {"submitted", "provider_pending", "unknown"}
        assert schedules.conflict_question(parts, 1, None, now) == (soon if may_act else None)
        assert schedules.conflict_question(parts, 1, later, now) == (later if may_act else None)


def test_when_the_provider_is_asked() -> None:
    # payments.md section 1.6: 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h, then daily to the horizon.
    seconds = [schedules.ask_delay(Kind.DEPOSIT, asked).total_seconds() for asked in range(10)]
    assert seconds == [5, 15, 60, 300, 900, 3600, 21_600, 86_400, 86_400, 86_400]
    assert schedules.ask_delay(Kind.DEPOSIT, 10_000) == timedelta(days=1)
    assert timedelta(days=14) == schedules.ASK_HORIZON
    # What goes out: 1 m, 5 m, 30 m, 2 h, then 6-hourly; so is a merchant who was not understood.
    for delay in (
        lambda asked: schedules.ask_delay(Kind.PAYOUT, asked),
        lambda asked: schedules.ask_delay(Kind.REFUND, asked),
        schedules.question_delay,
    ):
        minutes = [delay(asked).total_seconds() / 60 for asked in (*range(6), 10_000)]
        assert minutes == [1, 5, 30, 120, 360, 360, 360]


def test_the_short_notification_is_exactly_the_protocols() -> None:
    assert contract.notification_fields(FACTS, extended=False) == SHORT


def test_the_extended_notification_adds_the_providers_words() -> None:
    found = contract.notification_fields(FACTS, extended=True)
    more = {"extended_info_enabled": 1, "processor_id": "sbx_1", "processor_message": "Approved"}
    assert found == SHORT | more


def test_empty_fields_are_left_out_but_zeros_stay() -> None:
    facts = replace(FACTS, external_id="", customer_ip="", provider_reference="", message="", source_type=0)
    found = contract.notification_fields(facts, extended=True)
    assert SHORT.keys() - found.keys() == {"external_id", "customer_ip"}
    assert found["source_type"] == 0
    assert "" not in found.values()


@pytest.mark.parametrize(("amount", "minor"), [(Money(5, "JPY"), 5), (Money(1_234, "KWD"), 1_234)])
def test_amounts_are_minor_units_whatever_the_currency(amount: Money, minor: int) -> None:
    found = contract.notification_fields(replace(FACTS, amount=amount, real_amount=amount), extended=False)
    assert (found["amount"], found["real_amount"]) == (minor, minor)
    assert found["currency"] == found["real_currency"] == amount.currency


@given(st.text(max_size=600))
def test_a_providers_words_cannot_forge_a_signed_field(said: str) -> None:
    """trust.md 3.3: a delimiter inside a value would make two messages one signed string."""
    facts = replace(FACTS, message=said, provider_reference=said, customer_purse=said)
    found = contract.notification_fields(facts, extended=True)
    for field in ("processor_message", "processor_id", "customer_purse"):
        words = str(found.get(field, ""))
        assert not set(words) & set(":;\r\n\x00")
        assert len(words) <= 255
        assert words == words.strip()
    assert len(signing.sign(found, "salt")) == 40
