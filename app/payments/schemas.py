"""How payments are said on the merchant's wire."""

from pydantic import BaseModel, ConfigDict, Field

from app import methods
from app.payments.contract import TYPE_ID, status_id
from app.payments.queries import Payment

__all__ = ["StatusAnswer", "StatusRefused", "status_answer"]


class StatusAnswer(BaseModel):
    """A payment as the merchant protocol tells it (protocol.md sections 6, 7 and 9).

    Amounts in minor units.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
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
        transaction_id=found.number,
        external_id=found.external_id,
        type_id=TYPE_ID[found.kind],
        status_id=status_id(found.sub_status, is_partial=found.real_amount != found.amount),
        payment_group_id=method.group_id,
        payment_type_id=method.type_id,
        amount=found.amount.minor,
        currency=found.amount.currency,
        real_amount=found.real_amount.minor,
        real_currency=found.real_amount.currency,
        completed_at=found.completed_at.isoformat(timespec="seconds") if found.completed_at else None,
    )
