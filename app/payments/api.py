"""Our own API of payments: list, read, cancel, refund, approve, reject (payments.md 3).

Merchants' servers read with a token of their site; people act with a token of their own and name the site.
What a person may is decided by the deeds, in one place with the command line.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer

from app import staff
from app.kernel.money import Money
from app.payments.access import Key, Site, Text, caller_of, check_kind, done_once, named_as_sent
from app.payments.api_schemas import (
    PROBLEMS,
    CancelBody,
    ListQuery,
    PaymentList,
    PaymentObject,
    RefundBody,
    RejectBody,
    VoteBody,
    payment_object,
)
from app.payments.approvals import Refusing, approve, reject
from app.payments.cancels import cancel_for_staff
from app.payments.listing import Expand, Wanted, further, page
from app.payments.queries import Payment, payment
from app.payments.refund_requests import RefundWish, request_refund
from app.payments.refunds import approve_refund, cancel_refund, reject_refund
from app.payments.states import Kind, Status
from app.payments.sweeps import ask_soon
from app.plumbing import idempotency
from app.plumbing.once_named import OnceNamed
from app.plumbing.pipes import Pipes

__all__ = ["own_api"]

_OPEN: Final = frozenset({Status.PENDING, Status.PROCESSING})
# To whom something may be done; the other kinds of payment hear that it is not for them.
_OUT: Final = (Kind.PAYOUT, Kind.REFUND)
_IN: Final = (Kind.DEPOSIT,)
_Deed = Callable[[staff.Operator, Payment], Awaitable[Payment]]


def own_api(pipes: Pipes) -> APIRouter:
    """The routes; everything else is said by the deeds."""
    # Who it is, `caller_of` finds out; this only says in the API's document that a token is needed.
    told = Depends(HTTPBearer(auto_error=False, scheme_name="token"))
    routes = APIRouter(route_class=OnceNamed, tags=["payments"], responses=PROBLEMS, dependencies=[told])
    _reading(routes, pipes)
    _acting(routes, pipes)
    _refunding(routes, pipes)
    return routes


def _reading(routes: APIRouter, pipes: Pipes) -> None:
    @routes.get("/v1/payments", operation_id="payments_list")
    async def listed(request: Request, asked: Annotated[ListQuery, Query()]) -> PaymentList:
        """List payments, the newest first; `next_cursor` goes into `starting_after`."""
        caller = await caller_of(pipes, request, asked.site_id)
        async with pipes.database.reading() as reader:
            found = await page(
                reader,
                caller.site_id,
                _wanted(asked, by_staff=caller.operator is not None),
                limit=asked.limit,
                starting_after=asked.starting_after,
                ending_before=asked.ending_before,
            )
            its = [one.payment_id for one in found.payments]
            more = await further(reader, caller.site_id, its, asked.expand)
        last = found.payments[-1].payment_id if found.has_more and found.payments else None
        data = [
            payment_object(one, is_staff=caller.operator is not None, **more[one.payment_id])
            for one in found.payments
        ]
        return PaymentList(data=data, has_more=found.has_more, next_cursor=last)

    @routes.get("/v1/payments/{payment_id}", operation_id="payments_get")
    async def read(
        request: Request,
        payment_id: Text,
        site_id: Site = 0,
        expand: Annotated[
            list[Expand],
            Query(alias="expand[]", description="Repeat it for several; attempts are for people."),
        ] = [],  # noqa: B006  never changed
    ) -> PaymentObject:
        """Read a payment. One that is not over is asked about at its provider: the next look is newer."""
        caller = await caller_of(pipes, request, site_id)
        async with pipes.database.reading() as reader:
            found = await payment(reader, caller.site_id, payment_id)
            more = await further(reader, caller.site_id, [payment_id], expand)
            shown = payment_object(found, is_staff=caller.operator is not None, **more[payment_id])
        if found.status in _OPEN:
            await ask_soon(pipes, caller.site_id, payment_id)
        return shown


def _wanted(asked: ListQuery, *, by_staff: bool) -> Wanted:
    return Wanted(
        asked.kind,
        [*asked.status, *(Status(one) for one in asked.status_in.split(",") if one)],
        asked.created_from,
        asked.created_before,
        asked.site_login,
        asked.external_id,
        asked.attention,
        asked.currency,
        asked.amount_from,
        asked.amount_to,
        asked.q,
        by_staff,
    )


def _acting(routes: APIRouter, pipes: Pipes) -> None:
    one = "/v1/payments/{payment_id}"

    @routes.post(f"{one}/cancel", operation_id="payments_cancel", response_model=PaymentObject)
    async def cancelled(
        request: Request, payment_id: Text, body: CancelBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Take back a withdrawal that is not sent yet, or the parts of one that wait, or a refund."""

        async def deed(operator: staff.Operator, found: Payment) -> Payment:
            by_kind = cancel_refund if found.kind is Kind.REFUND else cancel_for_staff
            return await by_kind(pipes, found.site_id, payment_id, operator, reason=body.reason)

        return await _done(
            pipes, request, (site_id, payment_id, "cancel", key), body.model_dump(), deed, _OUT
        )

    @routes.post(f"{one}/approve", operation_id="payments_approve", response_model=PaymentObject)
    async def approved(
        request: Request, payment_id: Text, body: VoteBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Approve a withdrawal or a refund that somebody else has asked for."""

        async def deed(operator: staff.Operator, found: Payment) -> Payment:
            by_kind = approve_refund if found.kind is Kind.REFUND else approve
            said = {"reason": body.reason, "approval_id": body.approval_id}
            return await by_kind(pipes, found.site_id, payment_id, operator, **said)

        return await _done(
            pipes, request, (site_id, payment_id, "approve", key), body.model_dump(), deed, _OUT
        )

    @routes.post(f"{one}/reject", operation_id="payments_reject", response_model=PaymentObject)
    async def rejected(
        request: Request, payment_id: Text, body: RejectBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Reject a withdrawal or a refund; what was held is free again."""

        async def deed(operator: staff.Operator, found: Payment) -> Payment:
            if found.kind is Kind.REFUND:
                return await reject_refund(
                    pipes, found.site_id, payment_id, operator,
                    reason=body.reason_staff, approval_id=body.approval_id,
                )  # fmt: skip
            why = Refusing(body.reason_staff, body.reason_player, body.do_not_tip_off)
            return await reject(pipes, found.site_id, payment_id, operator, why, approval_id=body.approval_id)

        return await _done(
            pipes, request, (site_id, payment_id, "reject", key), body.model_dump(), deed, _OUT
        )


def _refunding(routes: APIRouter, pipes: Pipes) -> None:
    @routes.post(
        "/v1/payments/{payment_id}/refunds", operation_id="refunds_create", response_model=PaymentObject
    )
    async def refunded(
        request: Request, payment_id: Text, body: RefundBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Ask for a refund of a deposit, in full or in part; somebody else approves it."""

        async def deed(operator: staff.Operator, found: Payment) -> Payment:
            amount = None if body.amount_minor is None else Money(body.amount_minor, found.amount.currency)
            wish = RefundWish(payment_id, amount, body.reason, idempotency.checked_key(key))
            with named_as_sent({"amount": "amount_minor"}):
                return await request_refund(pipes, found.site_id, wish, operator)

        return await _done(pipes, request, (site_id, payment_id, "refund", key), body.model_dump(), deed, _IN)


async def _done(
    pipes: Pipes,
    request: Request,
    asked: tuple[int, str, str, str | None],
    content: Mapping[str, Any],
    deed: _Deed,
    kinds: Sequence[Kind],
) -> Response:
    """Do it once, to a payment of these kinds."""
    payment_id = asked[1]

    async def shown(site_id: int, operator: staff.Operator) -> PaymentObject:
        async with pipes.database.reading() as reader:
            found = await payment(reader, site_id, payment_id)
        check_kind(found, kinds)
        return payment_object(await deed(operator, found), is_staff=True)

    return await done_once(pipes, request, asked, content, shown)
