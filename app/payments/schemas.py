"""How payments are said on the merchant's wire."""

from pydantic import BaseModel, ConfigDict, Field

from app import methods
from app.payments.contract import TYPE_ID, status_id
from app.payments.initiation import Initiated, order_number
from app.payments.queries import Payment

__all__ = [
    "InitiatedTransaction",
    "InitiationAnswer",
    "InitiationRefused",
    "StatusAnswer",
    "StatusRefused",
    "initiation_answer",
    "status_answer",
]


class StatusAnswer(BaseModel):
    """A payment as the merchant protocol tells it (protocol.md sections 6, 7 and 9).

    Amounts in minor units.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "order_id": "000100000001264065507927945843",
                "transaction_id": 100000001,
                "external_id": "order_123456",
                "type_id": 3,
                "status_id": 4,
                "payment_group_id": 1,
                "payment_type_id": 1,
                "amount": 150000,
                "currency": "KZT",
                "real_amount": 150000,
                "real_currency": "KZT",
                "completed_at": "2026-11-21T12:00:05+00:00",
            }
        }
    )
    success: bool = True
    order_id: str = Field(description="30 digits; a withdrawal's is that of its initiation.")
    transaction_id: int
    external_id: str
    type_id: int
    status_id: int
    payment_group_id: int
    payment_type_id: int
    amount: int
    currency: str
    real_amount: int = Field(
        description="What was really paid; equal to `amount` unless a person accepted another sum."
    )
    real_currency: str
    completed_at: str | None


class StatusRefused(BaseModel):
    """Why there is no status; `code` repeats the HTTP status."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"success": False, "errors": "There is no such payment.", "code": 404}}
    )
    success: bool = False
    errors: str
    code: int


def status_answer(found: Payment) -> StatusAnswer:
    """The answer to a status request."""
    method = methods.CATALOGUE[found.method]
    return StatusAnswer(
        order_id=found.order_id or order_number(found),
        transaction_id=found.number,
        external_id=found.external_id,
        type_id=TYPE_ID[found.kind],
        status_id=status_id(found.told_as, is_partial=found.real_amount != found.amount),
        payment_group_id=method.group_id,
        payment_type_id=method.type_id,
        amount=found.amount.minor,
        currency=found.amount.currency,
        real_amount=found.real_amount.minor,
        real_currency=found.real_amount.currency,
        completed_at=found.completed_at.isoformat(timespec="seconds") if found.completed_at else None,
    )


class InitiatedTransaction(BaseModel):
    """The withdrawal as the protocol tells it; amounts in minor units."""

    transaction_id: int
    external_id: str
    order_id: str
    type_id: int
    status_id: int
    amount: int
    currency: str


class InitiationAnswer(BaseModel):
    """The withdrawal is taken; what becomes of it is told by a webhook (protocol.md section 3.3)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "errors": "",
                "transaction": {
                    "transaction_id": 117580048,
                    "external_id": "704224078",
                    "order_id": "217742619264065507927945843197",
                    "type_id": 11,
                    "status_id": 3,
                    "amount": 400000,
                    "currency": "KZT",
                },
                "code": 0,
                "message_for_user": "Success",
                "transaction_id": 117580048,
                "order_id": "217742619264065507927945843197",
            }
        }
    )
    success: bool = True
    errors: str = ""
    transaction: InitiatedTransaction
    code: int = 0
    message_for_user: str = "Success"
    transaction_id: int
    order_id: str = Field(description="30 digits; the same on every repeat.")


class InitiationRefused(BaseModel):
    """Why nothing will be paid; `code` repeats the HTTP status."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": False,
                "errors": "amount is not that of the withdrawal that was requested.",
                "transaction": None,
                "code": 422,
                "message_for_user": "The withdrawal cannot be paid.",
                "transaction_id": None,
                "order_id": None,
            }
        }
    )
    success: bool = False
    errors: str
    transaction: None = None
    code: int
    message_for_user: str = "The withdrawal cannot be paid."
    transaction_id: None = None
    order_id: None = None


def initiation_answer(done: Initiated) -> InitiationAnswer:
    """The answer to an initiation, the same for its repeats but for the status."""
    found = done.payment
    return InitiationAnswer(
        transaction=InitiatedTransaction(
            transaction_id=found.number,
            external_id=found.external_id,
            order_id=done.order_id,
            type_id=TYPE_ID[found.kind],
            status_id=status_id(found.told_as, is_partial=found.real_amount != found.amount),
            amount=found.amount.minor,
            currency=found.amount.currency,
        ),
        transaction_id=found.number,
        order_id=done.order_id,
    )
