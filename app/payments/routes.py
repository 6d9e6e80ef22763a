"""What merchants ask about payments, and how they initiate a withdrawal (protocol.md 3.3, 9, 15)."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app import merchants
from app.kernel import signing
from app.kernel.errors import Refusal
from app.payments.api import own_api
from app.payments.case_api import case_api
from app.payments.initiation import initiate, number_of_order, order_number
from app.payments.queries import Payment, PaymentNotFound, payment_of_merchant
from app.payments.schemas import (
    InitiationAnswer,
    InitiationRefused,
    StatusAnswer,
    StatusRefused,
    initiation_answer,
    status_answer,
)
from app.plumbing import web
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["router"]

_REFUSED: dict[int | str, dict[str, Any]] = {status: {"model": StatusRefused} for status in (400, 401, 404)}
_NOT_INITIATED: dict[int | str, dict[str, Any]] = {
    status: {"model": InitiationRefused} for status in (400, 401, 402, 404, 409, 422, 503)
}


def router(pipes: Pipes) -> APIRouter:
    """The status of one payment, and the initiation of a withdrawal."""
    routes = APIRouter(tags=["payments"])

    @routes.post(
        "/v1/payments/status/",
        operation_id="payments_status",
        response_model=StatusAnswer,
        responses=_REFUSED,
        openapi_extra=web.body_of(signing.TRANSACTION_STATUS),
    )
    @routes.post("/v1/payments/status", include_in_schema=False)
    async def status(request: Request) -> JSONResponse:
        """Ask what became of a payment."""
        try:
            fields = signing.read(signing.TRANSACTION_STATUS, await web.signed_pairs(request))
            async with pipes.database.reading() as reader:
                site = await merchants.authentic_site(reader, fields, pipes.clock.now())
                found = await _find(reader, site.site_id, fields)
        except Refusal as refusal:
            code = web.status_of(type(refusal))
            return JSONResponse(StatusRefused(errors=refusal.sentence, code=code).model_dump(), code)
        return JSONResponse(status_answer(found).model_dump())

    @routes.post(
        "/api/payout/",
        operation_id="payouts_initiate",
        response_model=InitiationAnswer,
        responses=_NOT_INITIATED,
        openapi_extra=web.body_of(signing.PAYOUT_INITIATION),
    )
    @routes.post("/api/payout", include_in_schema=False)
    async def initiation(request: Request) -> JSONResponse:
        """Pay a withdrawal that you have accepted; a repeat has the first answer and no effect."""
        try:
            fields = signing.read(signing.PAYOUT_INITIATION, await web.signed_pairs(request))
            async with pipes.database.reading() as reader:
                site = await merchants.authentic_site(reader, fields, pipes.clock.now())
            done = await initiate(pipes, site, fields)
        except Refusal as refusal:
            code = web.status_of(type(refusal))
            return JSONResponse(InitiationRefused(errors=refusal.sentence, code=code).model_dump(), code)
        return JSONResponse(initiation_answer(done).model_dump())

    routes.include_router(own_api(pipes))
    routes.include_router(case_api(pipes))
    return routes


async def _find(reader: Reader, site_id: int, fields: Mapping[str, str]) -> Payment:
    number, order_id = fields.get("transaction_id", ""), fields.get("order_id", "")
    if number and not (number.isascii() and number.isdigit() and len(number) <= 18):  # noqa: PLR2004  a bigint
        raise PaymentNotFound
    if order_id:
        number = str(number_of_order(order_id))
    found = await payment_of_merchant(
        reader,
        site_id,
        number=int(number) if number else None,
        external_id=fields.get("external_id"),
        site_login=fields.get("site_login"),
    )
    if order_id and order_id != order_number(found):
        raise PaymentNotFound
    return found
