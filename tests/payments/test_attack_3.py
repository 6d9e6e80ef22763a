"""Attack: a dispute with a date that the database cannot hold is never read, and takes no money from anybody."""

from dataclasses import replace
from datetime import datetime

import pytest

from app import providers
from app.providers.gateways.sandbox import GATEWAY
from tests.payments.desk import Desk
from tests.payments.test_disputes import disputes, say
from tests.payments.world import Provider

FOREVER = "9999-12-31T23:59:59-14:00"


async def test_a_dispute_with_a_date_beyond_the_calendar_counts(
    desk: Desk, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"notice_id":"n-1","reference":"att_1","dispute":{"id":"cb-1","stage":"opened","amount_minor":1'
    body += b',"currency":"KZT","due_at":"' + FOREVER.encode() + b'"}}'
    raw = providers.RawNotice("/notices/1/main", {}, body)
    account = providers.ProviderAccount(1, "main", "sandbox", "https://pay.example.com", "", credentials={})
    [report] = GATEWAY.parse(account, raw)
    assert report.dispute is not None
    due_at = report.dispute.due_at  # as the gateway gives it to the rooms
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
    assert due_at is None or isinstance(due_at, datetime)
    await say(desk, deposit, "opened")
    [its] = await disputes(desk, deposit)
    assert its.posted.minor > 0
