"""A dispute whose dates no calendar of ours holds counts all the same, without them."""

import json
from dataclasses import replace

import pytest

from app import providers
from app.providers.gateways.sandbox import GATEWAY
from tests.payments.desk import Desk
from tests.payments.test_disputes import disputes, say
from tests.payments.world import Provider

ACCOUNT = providers.ProviderAccount(1, "main", "sandbox", "https://pay.example.com", "", credentials={})


def report(**dates: str) -> providers.Report:
    """What the sandbox provider's gateway reads of a dispute with these dates."""
    told = {
        "id": "cb-1",
        "stage": "opened",
        "amount_minor": 1,
        "currency": "KZT",
        "due_at": dates.pop("due_at"),
    }
    body = json.dumps({"notice_id": "n-1", "reference": "att_1", "dispute": told, **dates}).encode()
    [found] = GATEWAY.parse(ACCOUNT, providers.RawNotice("/notices/1/main", {}, body))
    return found


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_dispute_with_a_date_beyond_the_calendar_counts(
    desk: Desk, provider: Provider, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    read = report(due_at=instant, occurred_at=instant)
    assert read.dispute is not None
    due_at = read.dispute.due_at
    assert (due_at, read.occurred_at) == (None, None)
    own = Provider.parse

    def parse(
        self: Provider, account: providers.ProviderAccount, notice: providers.RawNotice
    ) -> list[providers.Report]:
        return [
            replace(one, dispute=one.dispute and replace(one.dispute, due_at=due_at))
            for one in own(self, account, notice)
        ]

    monkeypatch.setattr(Provider, "parse", parse)
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    [its] = await disputes(desk, deposit)
    assert its.posted.minor > 0


def test_any_other_zone_is_read() -> None:
    read = report(due_at="2026-12-24T12:00:00+05:00", occurred_at="9999-12-31T23:59:59+14:00")
    assert read.dispute is not None
    assert (read.dispute.due_at is None, read.occurred_at is None) == (False, False)
    assert str(read.dispute.due_at) == "2026-12-24 07:00:00+00:00"
