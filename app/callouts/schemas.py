"""How callouts look on the wire, for the API's documents: the fields of protocol.md 3.1 and 3.2."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

__all__ = ["CheckDeposit", "CheckDepositAnswer", "RequestPayout", "RequestPayoutAnswer", "describe"]

# Signed with the salt `test_salt`.
_EXAMPLE: JsonDict = {
    "action": "check_deposit",
    "site_id": 101,
    "site_login": "user_test",
    "amount": 150000,
    "currency": "KZT",
    "payment_group_id": 1,
    "payment_type_id": 1,
    "customer_ip": "127.0.0.1",
    "source_type": 3,
    "transaction_id": "100000001",
    "signature": "5160f860225f6de1b3a92ac216b02ddd4a9605c3",
}

_PAYOUT_EXAMPLE: JsonDict = {
    "action": "request_payout",
    "site_id": 101,
    "site_login": "user_test",
    "amount": 400000,
    "currency": "KZT",
    "payment_group_id": 1,
    "payment_type_id": 1,
    "customer_purse": "555555...4444",
    "remember_customer_purse": 0,
    "customer_ip": "127.0.0.1",
    "transaction_id": "100000002",
    "signature": "9cd8db70dee55a735f1346db69cb1755b9f2c17e",
}


class CheckDeposit(BaseModel):
    """May this player pay this in? Sent to the site's callout address, JSON or a form as the site says."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})
    action: Annotated[str, Field(description="Always `check_deposit`.")]
    site_id: int
    site_login: Annotated[str, Field(description="The player's login at the merchant.")]
    amount: Annotated[int, Field(description="Minor units of the currency.")]
    currency: Annotated[str, Field(description="ISO 4217, three letters.")]
    payment_group_id: int
    payment_type_id: int
    customer_ip: str | None = None
    source_type: Annotated[
        int | None, Field(description="1 API, 2 web page, 3 iframe, 4 mobile page, 5 native script.")
    ] = None
    transaction_id: Annotated[
        str | None, Field(description="Our number of the payment; the same on every repeat.")
    ] = None
    signature: Annotated[str, Field(description="SHA-1 over the sorted fields and the site's salt.")]


class CheckDepositAnswer(BaseModel):
    """The merchant's word: 0 allows the deposit under `external_id`, 500 refuses it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": 0, "external_id": "order_123456"},
                {"code": 500, "error_description": "User not found"},
            ]
        }
    )
    code: Annotated[int, Field(description="0 allowed, 500 refused; anything else counts as no answer.")]
    external_id: Annotated[
        str | None, Field(description="With code 0: the merchant's order number.", max_length=256)
    ] = None
    error_description: Annotated[
        str | None, Field(description="With code 500: the reason.", max_length=1024)
    ] = None


class RequestPayout(BaseModel):
    """May this player withdraw this? Sent to the site's callout address, JSON or a form as the site says."""

    model_config = ConfigDict(json_schema_extra={"example": _PAYOUT_EXAMPLE})
    action: Annotated[str, Field(description="Always `request_payout`.")]
    site_id: int
    site_login: Annotated[str, Field(description="The player's login at the merchant.")]
    amount: Annotated[int, Field(description="Minor units of the currency.")]
    currency: Annotated[str, Field(description="ISO 4217, three letters.")]
    payment_group_id: int
    payment_type_id: int | None = None
    customer_purse: Annotated[
        str,
        Field(description="Where the money is to go, as people may see it; a card masked.", max_length=256),
    ]
    remember_customer_purse: Annotated[
        int, Field(description="1: the player wishes to use this destination again.", ge=0, le=1)
    ]
    customer_ip: str | None = None
    transaction_id: Annotated[
        str | None, Field(description="Our number of the payment; the same on every repeat.")
    ] = None
    signature: Annotated[str, Field(description="SHA-1 over the sorted fields and the site's salt.")]


class RequestPayoutAnswer(BaseModel):
    """The merchant's word: 50 accepts the withdrawal under `external_id`, 402 and 500 refuse it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": 50, "external_id": "704224078"},
                {"code": 402, "error_description": "Not enough funds"},
                {"code": 500, "error_description": "User not found"},
            ]
        }
    )
    code: Annotated[
        int,
        Field(
            description="50 accepted, 402 not enough funds, 500 refused; anything else counts as no answer."
        ),
    ]
    external_id: Annotated[
        str | None,
        Field(
            description="With code 50: the merchant's order number, by which it initiates the payout.",
            max_length=256,
        ),
    ] = None
    error_description: Annotated[
        str | None, Field(description="With code 402 or 500: the reason.", max_length=1024)
    ] = None


def describe(documents: APIRouter) -> None:
    """Add what this room sends to the documents."""

    @documents.post("check_deposit", response_model=CheckDepositAnswer, operation_id="callouts_check_deposit")
    async def check_deposit(body: CheckDeposit) -> None:
        """Asked before any money moves. Answer within 5 s in at most 64 KiB; redirects are not followed."""

    @documents.post(
        "request_payout", response_model=RequestPayoutAnswer, operation_id="callouts_request_payout"
    )
    async def request_payout(body: RequestPayout) -> None:
        """Asked before a withdrawal is looked at. Answer within 5 s in at most 64 KiB.

        Redirects are not followed. Without a usable answer the same question comes again, with the same
        `transaction_id`; give it the same `external_id`.
        """
