"""How payments are said in our own API: strict bodies in, explicit fields out (payments.md 3.1, 3.3, 3.4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy.engine import Row

from app.kernel.masking import mask_text
from app.kernel.money import MAX_MINOR
from app.payments.access import Instant, SiteNumber, Text
from app.payments.legs import Leg
from app.payments.listing import Expand
from app.payments.queries import Attempt, Payment
from app.payments.states import Kind, Status
from app.payments.telling import public_object

__all__ = [
    "PROBLEMS",
    "CancelBody",
    "ListQuery",
    "PaymentList",
    "PaymentObject",
    "Problem",
    "RefundBody",
    "RejectBody",
    "VoteBody",
    "payment_object",
]

_Reason = Annotated[Text, Field(min_length=1, max_length=255, description="For colleagues.")]


def _listed(said: str) -> str:
    if not set(said.split(",")) <= set(Status):
        raise PydanticCustomError("status_in", "one or more statuses, with commas and no spaces between")
    return said


class ListQuery(BaseModel):
    """Which payments, and which part of them."""

    model_config = ConfigDict(extra="forbid")
    site_id: SiteNumber = 0
    kind: list[Kind] = []
    status: list[Status] = []
    status_in: Annotated[
        Text,
        AfterValidator(_listed),
        Field(
            alias="status[in]",
            description="Any of these, with commas between; beside `status`: or these.",
            examples=["pending,processing"],
        ),
    ] = ""
    q: Annotated[
        Text | None,
        Field(
            min_length=1,
            max_length=256,
            examples=["order_123456"],
            description="The whole of an `id`, `transaction_id`, `order_id`, `external_id` or site_login; "
            "for people also a provider's number, or ours there.",
        ),
    ] = None
    expand: Annotated[
        list[Expand], Field(alias="expand[]", description="More of each; see `payments_get`.")
    ] = []
    created_from: Annotated[Instant | None, Field(alias="created[gte]")] = None
    created_before: Annotated[Instant | None, Field(alias="created[lt]")] = None
    site_login: Text | None = None
    external_id: Text | None = None
    currency: Text | None = None
    amount_from: Annotated[
        int | None, Field(alias="amount[gte]", ge=0, le=MAX_MINOR, description="As ordered, in minor units.")
    ] = None
    amount_to: Annotated[
        int | None, Field(alias="amount[lte]", ge=0, le=MAX_MINOR, description="As ordered, in minor units.")
    ] = None
    attention: Annotated[bool, Field(description="Only those that somebody should look at.")] = False
    limit: Annotated[int, Field(ge=1, le=200)] = 25
    starting_after: Text | None = None
    ending_before: Text | None = None


class _Body(BaseModel):
    """What a caller may say, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class CancelBody(_Body):
    """Why it is taken back."""

    reason: _Reason


class VoteBody(_Body):
    """`approval_id`: what the person looked at; empty: whichever is open."""

    reason: Annotated[Text, Field(max_length=500, description="For colleagues.")] = ""
    approval_id: Text = ""


class RejectBody(_Body):
    """Why it is rejected: for colleagues, and what the player may read."""

    reason_staff: _Reason
    reason_player: Annotated[Text, Field(max_length=500)] = ""
    do_not_tip_off: Annotated[bool, Field(description="The player reads nothing of why.")] = False
    approval_id: Text = ""


class RefundBody(_Body):
    """How much goes back; no amount: all that can."""

    amount_minor: Annotated[int | None, Field(ge=1, le=MAX_MINOR)] = None
    reason: _Reason


class Problem(BaseModel):
    """Why not (RFC 9457, application/problem+json); `code` is for programs, `detail` for people."""

    model_config = ConfigDict(extra="allow")
    type: Annotated[str, Field(description="The path of a page that says what the code means.")]
    title: str
    status: int
    code: Annotated[str, Field(description="Never changes its meaning; there may be new ones.")]
    detail: str
    instance: Annotated[str | None, Field(description="Which request it was.")] = None
    param: Annotated[str | None, Field(description="The field that is wrong, as it was sent.")] = None
    retryable: Annotated[bool, Field(description="The same request may succeed later, unchanged.")]
    player_message: Annotated[str, Field(description="What a player may read, in `Accept-Language`.")]
    request_id: str | None = None
    correlation_id: Annotated[str | None, Field(description="Your `X-Correlation-Id`.")] = None


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem} for status in (400, 401, 402, 403, 404, 409, 422)
}


class PaymentObject(BaseModel):
    """A deposit, withdrawal or refund. Amounts are minor units; treat words you do not know as pending."""

    object: str
    id: str
    transaction_id: Annotated[int, Field(description="The protocol's number of it.")]
    type_id: int
    status: str
    sub_status: str
    status_id: int
    amount_minor: int
    currency: str
    captured_minor: int
    refund_pending_minor: int
    refunded_minor: int
    charged_back_minor: int
    player_id: str
    method: str
    purse: Annotated[str, Field(description="Masked.")]
    external_id: str
    order_id: str | None
    parent_id: str | None
    is_late: bool
    reason: Annotated[str, Field(description="What the player may read.")]
    created_at: datetime
    completed_at: datetime | None
    attention: Annotated[str | None, Field(description="For people only: why somebody should look.")] = None
    reason_staff: Annotated[str | None, Field(description="For people only.")] = None
    provider_reference: Annotated[str | None, Field(description="For people only.")] = None
    events: list[dict[str, Any]] | None = None
    legs: list[dict[str, Any]] | None = None
    attempts: list[dict[str, Any]] | None = None


class PaymentList(BaseModel):
    """One page, the newest first."""

    object: str = "list"
    data: list[PaymentObject]
    has_more: bool
    next_cursor: str | None


def payment_object(
    found: Payment,
    *,
    is_staff: bool,
    events: Sequence[Row[Any]] | None = None,
    legs: Sequence[Leg] | None = None,
    attempts: Sequence[Attempt] | None = None,
) -> PaymentObject:
    """A payment as its merchant may see it, or a person at the desk.

    Args:
        is_staff: with what is for people only; attempts are among it.
        events, legs, attempts: shown where they are given.
    """
    more: dict[str, Any] = {}
    if is_staff:
        more = {
            "attention": found.attention,
            "reason_staff": found.reason,
            "provider_reference": found.provider_reference,
        }
        if attempts is not None:
            more["attempts"] = [
                {
                    "id": one.attempt_id,
                    "account": one.account,
                    "leg": one.leg,
                    "is_over": one.is_over,
                    "outcome": mask_text(one.outcome),
                }
                for one in attempts
            ]
    if events is not None:
        more["events"] = [_event(one, is_staff=is_staff) for one in events]
    if legs is not None:
        more["legs"] = [_leg(one) for one in legs]
    return PaymentObject.model_validate({**public_object(found), **more})


def _event(row: Row[Any], *, is_staff: bool) -> dict[str, Any]:
    told = {
        "sequence": row.sequence,
        "type": row.type,
        "status": row.status,
        "sub_status": row.sub_status,
        "recorded_at": row.recorded_at.isoformat(),
    }
    return {**told, "source": row.source, "detail": row.detail} if is_staff else told


def _leg(one: Leg) -> dict[str, Any]:
    return {
        "leg": one.leg,
        "state": one.state.value,
        "method": one.method,
        "amount_minor": one.amount.minor,
        "captured_minor": one.captured.minor,
        "currency": one.amount.currency,
        "purse": one.masked,
    }
