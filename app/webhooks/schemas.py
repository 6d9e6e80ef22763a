"""How both products look on the wire, for the API's documents: protocol.md 4.2, payments.md 3.5."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.webhooks.terms import EVENT_TYPES

__all__ = ["EventData", "EventMessage", "Heard", "PaymentNotification"]


class PaymentNotification(BaseModel):
    """What became of a payment. Amounts in minor units; empty fields are left out."""

    site_id: int
    amount: Annotated[int, Field(description="What was ordered.")]
    currency: str
    real_amount: Annotated[int, Field(description="What was paid; differs where `status_id` is 24.")]
    real_currency: str
    extended_info_enabled: Annotated[int, Field(description="1 = the full set of fields, 0 = the short set.")]
    customer_purse: Annotated[str | None, Field(description="Where to or from; a card is masked.")] = None
    processor_id: Annotated[str | None, Field(description="Full set: the provider's number.")] = None
    processor_message: Annotated[str | None, Field(description="Full set: the provider's words.")] = None
    site_login: str
    payment_group_id: int
    display_payment_group_id: int
    payment_type_id: int
    customer_ip: str
    source_type: int
    type_id: Annotated[
        int,
        Field(
            description="3 purchase (deposit), 4 void (a deposit that was not paid after all), 5 refund, "
            "7 chargeback, 11 payout (withdrawal)."
        ),
    ]
    status_id: Annotated[
        int,
        Field(
            description="4 success, 24 of another amount; 5, 6, 7, 10, 13, 14, 19 say why there was none; "
            "1, 2, 3 under way: to sites that asked for every change."
        ),
    ]
    transaction_id: int
    external_id: Annotated[
        str | None, Field(description="Your number, from the answer to check_deposit or request_payout.")
    ] = None
    completed_at: Annotated[str, Field(description="ISO 8601 with zone.")]
    signature: Annotated[str, Field(description="SHA-1 over the sorted fields and the site's salt.")]


class Heard(BaseModel):
    """The only answer that ends the repeats of a notification."""

    model_config = ConfigDict(json_schema_extra={"example": {"code": 0}})
    code: Annotated[int, Field(description="0")]


class EventData(BaseModel):
    """The thing after the change, and what the changed attributes were before."""

    object: Annotated[
        dict[str, Any],
        Field(
            description="`object` says what it is (`deposit`, `withdrawal`, `refund`, `dispute`, ...), `id` "
            "which one; a thin endpoint gets no more than these two. Amounts in minor units of `currency`. "
            "Attributes may be added: ignore what you do not know."
        ),
    ]
    previous_attributes: dict[str, Any]


class EventMessage(BaseModel):
    """One change, as each of a site's endpoints that wants its type is told of it; under 20 kB."""

    id: Annotated[str, Field(description="Of the event; the same as the header `webhook-id`.")]
    type: Annotated[
        str, Field(description="Types may be added. Now:\n\n" + "\n".join(f"- `{x}`" for x in EVENT_TYPES))
    ]
    api_version: Annotated[str, Field(description="Of this form.")]
    created_at: Annotated[str, Field(description="When it happened; RFC 3339, UTC.")]
    sequence: Annotated[
        int, Field(description="Counts the object's changes without gaps: drop what is not newer.", ge=1)
    ]
    data: EventData
