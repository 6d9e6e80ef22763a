"""How payments appear outside: numbers, names and times, compared with the protocol's own tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import signing
from app.kernel.money import Money
from app.payments import contract, rules
from app.payments.model import FINAL, Kind, SubStatus

# protocol.md section 6.1 by payments.md section 2; the events by payments.md section 1.7.
TOLD = """
created               1   deposit.created
checking              1   deposit.pending
risk_review           1   deposit.pending
awaiting_player       2   deposit.action_required
submitted             2   deposit.processing
provider_pending      2   deposit.processing
unknown               2   transaction.unknown
conflicted            2   transaction.conflicted
crediting             2   deposit.processing
completed             4   deposit.completed
declined              6   deposit.failed
provider_error        19  deposit.failed
limit_blocked         7   deposit.failed
risk_declined         7   deposit.failed
merchant_unreachable  10  deposit.failed
expired               13  deposit.expired
by_player             14  deposit.cancelled
by_operator           5   deposit.cancelled
rejected_by_merchant  5   deposit.cancelled
refunded              4   deposit.refunded
charged_back          4   deposit.refunded
"""
ROWS = [line.split() for line in TOLD.strip().splitlines()]

FACTS = contract.PaymentFacts(
    kind=Kind.DEPOSIT,
    number=100_000_001,
    sub_status=SubStatus.COMPLETED,
    amount=Money(150_000, "KZT"),
    site_id=101,
    site_login="aigerim",
    external_id="order_1",
    provider_reference="sbx_1",
    message="Approved",
    group_id=1,
    type_id=1,
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
    assert {row[0] for row in ROWS} == {state.value for state in SubStatus} == set(contract.STATUS_ID)
    assert {kind: contract.TYPE_ID[kind] for kind in Kind} == {Kind.DEPOSIT: 3}


@pytest.mark.parametrize(("state", "number", "event"), ROWS)
def test_the_number_and_the_event_of_a_state(state: str, number: str, event: str) -> None:
    assert contract.status_id(SubStatus(state)) == int(number)
    assert contract.event_type(SubStatus(state)) == event
    late = "deposit.late_completed" if state == "completed" else event
    assert contract.event_type(SubStatus(state), is_late=True) == late


def test_merchants_are_told_of_final_states_only() -> None:
    assert {state for state in SubStatus if contract.is_told(state)} == FINAL
    # A notification never says that a payment is still open (protocol.md section 4.1).
    assert not {contract.status_id(state) for state in FINAL} & {1, 2, 3}


def test_which_deposits_the_provider_is_asked_about() -> None:
    asked = {state.value for state in SubStatus if rules.asks_provider(state)}
    assert asked == {
        "submitted",
        "awaiting_player",
        "provider_pending",
        "unknown",
        "expired",
        "provider_error",
    }


def test_when_the_provider_is_asked() -> None:
    # payments.md section 1.6: 5 s, 15 s, 1 m, 5 m, 15 m, 1 h, 6 h, then daily to the horizon.
    seconds = [rules.ask_delay(asked).total_seconds() for asked in range(10)]
    assert seconds == [5, 15, 60, 300, 900, 3600, 21_600, 86_400, 86_400, 86_400]
    assert rules.ask_delay(10_000) == timedelta(days=1)
    assert timedelta(days=14) == rules.ASK_HORIZON


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
    found = contract.notification_fields(replace(FACTS, amount=amount), extended=False)
    assert (found["amount"], found["real_amount"]) == (minor, minor)
    assert found["currency"] == found["real_currency"] == amount.currency


@given(st.text(max_size=600))
def test_a_providers_words_cannot_forge_a_signed_field(message: str) -> None:
    """trust.md 3.3: a delimiter inside a value would make two messages one signed string."""
    found = contract.notification_fields(replace(FACTS, message=message), extended=True)
    words = str(found.get("processor_message", ""))
    assert not set(words) & set(":;\r\n\x00")
    assert len(words) <= 255
    assert words == words.strip()
    assert len(signing.sign(found, "salt")) == 40
