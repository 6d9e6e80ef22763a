"""How notifications look on the wire, for the API's documents: the fields of protocol.md section 4.2."""

from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

__all__ = ["Heard", "PaymentNotification", "describe"]

_EXAMPLE: JsonDict = {
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
    "signature": "2cbf8ea150a654d1c7ad4a97c240ee093d7f76b8",
}


class PaymentNotification(BaseModel):
    """What became of a payment. Amounts in minor units; empty fields are left out."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})
    site_id: int
    amount: int
    currency: str
    real_amount: int
    real_currency: str
    extended_info_enabled: Annotated[int, Field(description="1 = the full set of fields, 0 = the short set.")]
    processor_id: Annotated[str | None, Field(description="Full set: the provider's number.")] = None
    processor_message: Annotated[str | None, Field(description="Full set: the provider's words.")] = None
    site_login: str
    payment_group_id: int
    display_payment_group_id: int
    payment_type_id: int
    customer_ip: str
    source_type: int
    type_id: Annotated[int, Field(description="3 purchase (deposit).")]
    status_id: Annotated[int, Field(description="4 success; 5, 6, 7, 10, 13, 14, 19 say why there was none.")]
    transaction_id: int
    external_id: Annotated[str | None, Field(description="The order number of the check_deposit answer.")] = (
        None
    )
    completed_at: Annotated[str, Field(description="ISO 8601 with zone.")]
    signature: Annotated[str, Field(description="SHA-1 over the sorted fields and the site's salt.")]


class Heard(BaseModel):
    """The only answer that ends the repeats."""

    model_config = ConfigDict(json_schema_extra={"example": {"code": 0}})
    code: Annotated[int, Field(description="0")]


def describe(documents: APIRouter) -> None:
    """Add what this room sends to the documents."""

    @documents.post("payment", response_model=Heard, operation_id="webhooks_payment")
    async def payment(
        body: PaymentNotification,
        webhook_id: Annotated[
            str, Header(description="The same on every repeat: your key against duplicates.")
        ],
        webhook_timestamp: Annotated[str, Header(description="Unix seconds of this attempt.")],
        webhook_signature: Annotated[
            str, Header(description="`v1,` and base64 HMAC-SHA256 of `id.timestamp.body`.")
        ],
    ) -> None:
        """Sent on every final state, until HTTP 2xx with `{"code".

        0}`: at once, after 45 s, 2, 5, 10, 30 min, then hourly.
        """
