"""What the API's documentation shows: notifications signed with the salt `test_salt`, and events."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body, Header
from fastapi.openapi.models import Example
from pydantic.config import JsonDict

from app.webhooks.schemas import EventMessage, Heard, PaymentNotification

__all__ = ["EVENTS", "NOTIFICATIONS", "describe"]

_Id = Annotated[str, Header(description="The same on every repeat: your key against duplicates.")]
_Timestamp = Annotated[str, Header(description="Unix seconds of this attempt; refuse what is 5 minutes old.")]

_TOLD: JsonDict = {
    "site_id": 101,
    "amount": 150000,
    "currency": "KZT",
    "real_amount": 150000,
    "real_currency": "KZT",
    "extended_info_enabled": 0,
    "site_login": "user_test",
    "payment_group_id": 1,
    "display_payment_group_id": 1,
    "payment_type_id": 1,
    "customer_ip": "127.0.0.1",
    "source_type": 3,
    "type_id": 3,
    "status_id": 4,
    "transaction_id": 100000001,
    "external_id": "order_123456",
    "completed_at": "2026-11-21T12:00:05+00:00",
}
_PAID_OUT: JsonDict = {
    "type_id": 11,
    "transaction_id": 100000002,
    "external_id": "payout_77",
    "customer_purse": "555555...4444",
}
_REVERSED: JsonDict = {"type_id": 4, "transaction_id": 100000005}
_REFUNDED: JsonDict = {"type_id": 5, "transaction_id": 100000003, "amount": 50000, "real_amount": 50000}

NOTIFICATIONS: Mapping[str, JsonDict] = {
    "a deposit is paid": _TOLD | {"signature": "25f411a68b973567b2830192625a12450e23d3a7"},
    "a deposit was declined": _TOLD
    | {"status_id": 6, "signature": "676e098ab11e6ee2f3145d7439347d499872ef04"},
    "a withdrawal is paid out": _TOLD | _PAID_OUT | {"signature": "4a0434e3972bf4b934c6fab39c521bc618175349"},
    "part of a deposit went back": _TOLD
    | _REFUNDED
    | {"signature": "b1b92f11780df6959e25277aaeb9780a780acdaf"},
    "a deposit that was told as paid was not": _TOLD
    | _REVERSED
    | {"signature": "7a6c11029da50d02a866083d15cd7ddbc8363a2c"},
}

_DEPOSIT: JsonDict = {
    "id": "dep_01m7yzmhg0e00a819sdy3p92ps",
    "object": "deposit",
    "transaction_id": 100000001,
    "type_id": 3,
    "status": "completed",
    "sub_status": "completed",
    "status_id": 4,
    "amount_minor": 150000,
    "currency": "KZT",
    "captured_minor": 150000,
    "refund_pending_minor": 0,
    "refunded_minor": 0,
    "charged_back_minor": 0,
    "player_id": "ply_01m7yx8t1qe0f4n6w0b1a9c3de",
    "method": "card",
    "purse": "",
    "external_id": "order_123456",
    "order_id": "",
    "parent_id": "",
    "is_late": False,
    "reason": "",
    "created_at": "2026-11-21T11:58:40.120Z",
    "completed_at": "2026-11-21T12:00:05.004Z",
}
_WITHDRAWAL: JsonDict = {
    **{name: value for name, value in _DEPOSIT.items() if name != "completed_at"},
    "id": "wdr_01m7z0cd5fe0d8vkrqbh6mq2k1",
    "object": "withdrawal",
    "transaction_id": 100000002,
    "type_id": 11,
    "status": "pending",
    "sub_status": "requested",
    "status_id": 1,
    "amount_minor": 400000,
    "captured_minor": 0,
    "purse": "555555...4444",
    "external_id": "",
    "created_at": "2026-11-21T15:10:00.250Z",
}
_REFUND: JsonDict = _DEPOSIT | {
    "id": "rfd_01m7z1pzr8e048vgdwpyzsfkc6",
    "object": "refund",
    "transaction_id": 100000003,
    "parent_id": "dep_01m7yzmhg0e00a819sdy3p92ps",
    "type_id": 5,
    "amount_minor": 50000,
    "captured_minor": 0,
    "created_at": "2026-11-22T09:00:00.000Z",
    "completed_at": "2026-11-22T09:00:07.500Z",
}
_DISPUTE: JsonDict = {
    "id": "dsp_01m8b3qv60e02an1g8vy5sh4z9",
    "object": "dispute",
    "transaction_id": 100000004,
    "type_id": 7,
    "status": "opened",
    "status_id": 4,
    "payment_id": "dep_01m7yzmhg0e00a819sdy3p92ps",
    "amount_minor": 150000,
    "posted_minor": 150000,
    "currency": "KZT",
    "due_at": "2026-12-05T00:00:00+00:00",
    "opened_at": "2026-11-28T08:30:00+00:00",
    "closed_at": None,
}
_CASE: JsonDict = {
    "id": "cas_01m8h3w2k0e00c7f5rj1x8n4ta",
    "object": "case",
    "kind": "unresolved",
    "state": "resolved",
    "resolution": "not_paid",
    "payment_id": "wdr_01m7z0cd5fe0d8vkrqbh6mq2k1",
    "transaction_id": 100000002,
    "opened_at": "2026-11-28T09:40:00+00:00",
    "resolved_at": "2026-11-28T10:15:00+00:00",
}
_ENDPOINT: JsonDict = {
    "id": "whe_01m7yvzq3re0a9m4r0f2c5h8yx",
    "object": "webhook_endpoint",
    "url": "https://shop.example/cashier-events",
    "state": "active",
}


def _event(name: str, sequence: int, created_at: str, thing: JsonDict, before: JsonDict) -> JsonDict:
    return {
        "id": "evt_01m7yzmkb4e0er2hq6vx0d3c7t",
        "type": name,
        "api_version": "2026-11-01",
        "created_at": created_at,
        "sequence": sequence,
        "data": {"object": thing, "previous_attributes": before},
    }


_PENDING: JsonDict = {"status": "processing", "sub_status": "crediting", "status_id": 2}
EVENTS: Mapping[str, JsonDict] = {
    "deposit.completed": _event("deposit.completed", 6, "2026-11-21T12:00:05.004Z", _DEPOSIT, _PENDING),
    "withdrawal.requested": _event("withdrawal.requested", 1, "2026-11-21T15:10:00.250Z", _WITHDRAWAL, {}),
    "withdrawal.approved": _event(
        "withdrawal.approved",
        4,
        "2026-11-21T15:14:31.000Z",
        _WITHDRAWAL | {"sub_status": "approved", "status_id": 3, "external_id": "payout_77"},
        {"sub_status": "under_review"},
    ),
    "transaction.failed": _event(
        "transaction.failed",
        4,
        "2026-11-21T12:00:05.004Z",
        _DEPOSIT
        | {
            "status": "failed",
            "sub_status": "declined",
            "status_id": 6,
            "reason": "Not enough money on the card",
        },
        {"status": "processing", "sub_status": "submitted"},
    ),
    "transaction.reversed": _event(
        "transaction.reversed",
        8,
        "2026-11-21T12:31:20.000Z",
        _DEPOSIT
        | {
            "status": "refunded",
            "sub_status": "reversed",
            "status_id": 5,
            "captured_minor": 0,
            "completed_at": "2026-11-21T12:31:20.000Z",
        },
        {
            "status": "completed",
            "sub_status": "completed",
            "status_id": 4,
            "captured_minor": 150000,
            "completed_at": "2026-11-21T12:00:05.004Z",
        },
    ),
    "refund.completed": _event("refund.completed", 3, "2026-11-22T09:00:07.500Z", _REFUND, _PENDING),
    "dispute.opened": _event("dispute.opened", 1, "2026-11-28T08:30:00.000Z", _DISPUTE, {}),
    "dispute.evidence_due": _event("dispute.evidence_due", 2, "2026-12-02T00:00:20.000Z", _DISPUTE, {}),
    "transaction.resolved": _event(
        "transaction.resolved",
        1,
        "2026-11-28T10:15:00.000Z",
        _CASE,
        {"state": "open", "resolution": "", "resolved_at": None},
    ),
    "thin": _event(
        "deposit.completed",
        6,
        "2026-11-21T12:00:05.004Z",
        {"id": "dep_01m7yzmhg0e00a819sdy3p92ps", "object": "deposit"},
        {},
    ),
    "webhook.endpoint_disabled": _event(
        "webhook.endpoint_disabled",
        1,
        "2026-11-26T12:00:00.000Z",
        _ENDPOINT
        | {
            "state": "disabled",
            "why_disabled": "failing",
            "first_failed_at": "2026-11-21T12:00:00+00:00",
        },
        {"state": "active"},
    ),
    "webhook.test": _event("webhook.test", 2, "2026-11-21T12:00:00.000Z", _ENDPOINT, {}),
}


def _shown(found: Mapping[str, JsonDict]) -> dict[str, Example]:
    return {name: Example(value=value) for name, value in found.items()}


def describe(documents: APIRouter) -> None:
    """Add what this room sends to the documents."""

    @documents.post("payment", response_model=Heard, operation_id="webhooks_payment")
    async def payment(
        body: Annotated[PaymentNotification, Body(openapi_examples=_shown(NOTIFICATIONS))],
        webhook_id: _Id,
        webhook_timestamp: _Timestamp,
        webhook_signature: Annotated[
            str, Header(description="`v1,` and base64 HMAC-SHA256 of `id.timestamp.body`.")
        ],
    ) -> None:
        """The protocol's notification, to the site's own addresses: on every final state.

        Repeated until HTTP 2xx with `{"code": 0}`: at once, after 45 s, 2, 5, 10, 30 min, then hourly for a
        day. One that a newer state of its payment has overtaken is not repeated.
        """

    @documents.post("event", status_code=204, operation_id="webhooks_event")
    async def event(
        body: Annotated[EventMessage, Body(openapi_examples=_shown(EVENTS))],
        webhook_id: _Id,
        webhook_timestamp: _Timestamp,
        webhook_signature: Annotated[
            str,
            Header(
                description="Signatures with a blank between them, each `v1,` and base64 HMAC-SHA256 of "
                "`id.timestamp.body` by one of the endpoint's secrets; one that fits is enough."
            ),
        ],
    ) -> None:
        """An event, to every endpoint that the site registered and that wants its type.

        Repeated until any HTTP 2xx: at once, after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h, in the
        order of one object's changes. 3xx is a failure, 410 disables the endpoint, `Retry-After` is kept, up
        to an hour.
        """
