"""What the demo shop hears from the cashier, and how it answers: questions, webhooks (protocol.md 3, 4)."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, assert_never

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from app.demo import merchant_withdrawals, wire
from app.demo.merchant_books import Effect, Refused, UnknownPlayer, Webhook, Withdrawal, WithdrawalStatus
from app.demo.merchant_initiation import initiate
from app.demo.merchant_shop import (
    ApprovalManner,
    CalloutManner,
    PayoutManner,
    Shop,
    ShopHere,
    WebhookManner,
)
from app.demo.merchant_signatures import BadSignature, Unreadable, read_signed, verify_standard
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["hear_callout", "hear_webhook"]

AMOUNT_DIGITS: Final = 15
YES_TO_DEPOSIT, YES_TO_PAYOUT, NO_FUNDS, NO = 0, 50, 402, 500
JSON: Final = "application/json"
USELESS: Final[Mapping[str, tuple[int, str, bytes]]] = {
    "garbage": (200, JSON, b'{"code": 0, "external_id": \xff'),
    "html": (200, "text/html", b"<!doctype html><title>Log in</title><h1>Please log in</h1>"),
    "error500": (500, "text/plain", b"Internal Server Error"),
}


async def hear_callout(request: Request, shop: ShopHere) -> Response:
    """Answer the cashier's `check_deposit` and `request_payout`, as the chosen manners have it."""
    body = await wire.read_body(request)
    heard = _note(shop.callouts, request, body, shop)
    try:
        fields = _verified(request, body, shop)
    except (Unreadable, BadSignature) as error:
        heard["problem"] = str(error)
        return JSONResponse({"code": NO, "error_description": "Bad signature"}, status_code=401)
    heard["verified"] = True
    if fields.get("action") == "request_payout":
        return await _answer_payout_in_manner(request, shop, fields)
    match shop.callout:
        case CalloutManner.HANG | CalloutManner.NO_ANSWER as silence:
            return await _say_nothing(request, shop, is_patient=silence is CalloutManner.HANG)
        case CalloutManner.REFUSE:
            return _no("Deposits are closed for this player")
        case CalloutManner.ACCEPT:
            return _answer_deposit(shop, fields)
        case CalloutManner.SLOW:
            await asyncio.sleep(shop.settings.slow_seconds)
            return _answer_deposit(shop, fields)
        case useless:
            return _useless(useless)


async def hear_webhook(request: Request, shop: ShopHere) -> Response:
    """Act on a webhook of the cashier (protocol.md 4) exactly once and answer `{"code": 0}`."""
    body = await wire.read_body(request)
    heard = _note(shop.webhooks, request, body, shop)
    try:
        fields = _verified(request, body, shop)
    except (Unreadable, BadSignature) as error:
        heard["problem"] = str(error)
        return JSONResponse({"code": 1, "error_description": "Bad signature"}, status_code=401)
    heard["verified"] = True
    match shop.webhook:
        case WebhookManner.ACCEPT:
            return _answer_webhook(shop, fields, heard)
        case WebhookManner.SLOW:
            await asyncio.sleep(shop.settings.slow_seconds)
            return _answer_webhook(shop, fields, heard)
        case WebhookManner.LOST_ANSWER:
            _answer_webhook(shop, fields, heard)
            return await wire.hang_up(request)
        case WebhookManner.REFUSE:
            return JSONResponse({"code": 1, "error_description": "Not now"})
        case WebhookManner.ERROR500:
            return Response("Internal Server Error", status_code=500)
        case _:
            assert_never(shop.webhook)


async def _answer_payout_in_manner(request: Request, shop: Shop, fields: Mapping[str, str]) -> Response:
    manner = PayoutManner
    match shop.payout:
        case manner.HANG | manner.NO_ANSWER as silence:
            return await _say_nothing(request, shop, is_patient=silence is manner.HANG)
        case manner.REFUSE:
            return _no("Withdrawals are closed for this player")
        case manner.NO_FUNDS:
            return _no("Not enough funds", NO_FUNDS)
        case manner.REDIRECT:
            return Response(status_code=302, headers={"location": "/cashier/callout"})
        case manner.GARBAGE | manner.HTML | manner.ERROR500 as useless:
            return _useless(useless)
        case manner.CHANGE_OF_MIND if fields.get("transaction_id", "") not in shop.changed_minds:
            shop.changed_minds.add(fields.get("transaction_id", ""))
            return _no("Please ask me again")
        case manner.SLOW:
            await asyncio.sleep(shop.settings.slow_seconds)
        case _:
            pass
    answer = await _answer_payout(shop, fields)
    match shop.payout:
        case manner.LATE:
            await asyncio.sleep(shop.settings.late_seconds)
        case manner.LOST_ANSWER:
            return await wire.hang_up(request)
        case _:
            pass
    return answer


async def _answer_payout(shop: Shop, fields: Mapping[str, str]) -> Response:
    """Reserve the money of a withdrawal and accept it, unless the shop has a reason not to."""
    now = shop.settings.clock.now()
    try:
        _must_be_ours(shop, fields)
        wish = Withdrawal(
            external_id=ids.new("out", at=now),
            transaction_id=fields.get("transaction_id", ""),
            login=fields.get("site_login", ""),
            amount=_money(fields),
            purse=fields.get("customer_purse", ""),
            remember_purse=fields.get("remember_customer_purse", "0"),
            created_at=now,
        )
        asked = merchant_withdrawals.reserve(shop.books, wish)
    except UnknownPlayer:
        return _no("User not found")
    except merchant_withdrawals.NotEnough:
        return _no("Not enough funds", NO_FUNDS)
    except Refused as refusal:
        return _no(str(refusal))
    if shop.payout is PayoutManner.OTHER_ORDER and asked is not wish:
        merchant_withdrawals.rename(shop.books, asked, wish.external_id)
    await _approve_by_itself(shop, asked)
    return _yes_to_payout(shop, asked)


async def _approve_by_itself(shop: Shop, asked: Withdrawal) -> None:
    if shop.approval is ApprovalManner.BEFORE_ANSWER and asked.status is WithdrawalStatus.REQUESTED:
        await initiate(shop, merchant_withdrawals.approve(shop.books, asked.external_id), is_patient=False)
    is_eager = shop.approval in {ApprovalManner.BEFORE_ANSWER, ApprovalManner.AT_ONCE}
    if is_eager and asked.status is WithdrawalStatus.REQUESTED:
        shop.send(initiate(shop, merchant_withdrawals.approve(shop.books, asked.external_id)))


def _yes_to_payout(shop: Shop, asked: Withdrawal) -> Response:
    external_id = asked.external_id
    match shop.payout:
        case PayoutManner.SAME_ORDER:
            external_id = next(iter(shop.books.withdrawals))
        case PayoutManner.DEPOSITS_YES:
            return JSONResponse({"code": YES_TO_DEPOSIT, "external_id": external_id})
        case PayoutManner.NO_ORDER:
            return JSONResponse({"code": YES_TO_PAYOUT})
        case PayoutManner.ERROR_YES:
            yes = {"code": YES_TO_PAYOUT, "external_id": external_id}
            return JSONResponse(yes, status_code=500)
        case _:
            pass
    return JSONResponse({"code": YES_TO_PAYOUT, "external_id": external_id})


def _answer_deposit(shop: Shop, fields: Mapping[str, str]) -> Response:
    now = shop.settings.clock.now()
    try:
        _must_be_ours(shop, fields)
        _must_be_check_deposit(fields)
        order = shop.books.accept(
            transaction_id=fields.get("transaction_id", ""),
            login=fields.get("site_login", ""),
            amount=_money(fields),
            external_id=ids.new("order", at=now),
            now=now,
        )
    except UnknownPlayer:
        return _no("User not found")
    except Refused as refusal:
        return _no(str(refusal))
    return JSONResponse({"code": YES_TO_DEPOSIT, "external_id": order.external_id})


def _answer_webhook(shop: Shop, fields: Mapping[str, str], heard: dict[str, Any]) -> Response:
    try:
        _must_be_ours(shop, fields)
        webhook = Webhook(
            transaction_id=fields.get("transaction_id", ""),
            external_id=fields.get("external_id", ""),
            login=fields.get("site_login", ""),
            amount=_money(fields),
            type_id=_whole(fields, "type_id"),
            status_id=_whole(fields, "status_id"),
            paid=_money(fields, "real_") if "real_amount" in fields else None,
        )
        effect = _apply(shop, webhook)
    except UnknownPlayer:
        return _no("User not found")
    except Refused as refusal:
        return _no(str(refusal))
    heard["effect"] = effect
    shop.effects[effect] += 1
    return JSONResponse({"code": 0})


def _apply(shop: Shop, webhook: Webhook) -> Effect:
    now = shop.settings.clock.now()
    if not merchant_withdrawals.about_withdrawal(shop.books, webhook):
        return shop.books.apply(webhook, now=now)
    effect = merchant_withdrawals.apply(shop.books, webhook, now=now)
    is_over = effect is Effect.RELEASED and webhook.external_id in shop.books.withdrawals
    if is_over and shop.approval is ApprovalManner.AFTER_END:
        shop.send(initiate(shop, shop.books.withdrawals[webhook.external_id]))
    return effect


def _must_be_ours(shop: Shop, fields: Mapping[str, str]) -> None:
    if fields.get("site_id") != str(shop.settings.site_id):
        reason = "This shop answers for its own site only"
        raise Refused(reason)


def _must_be_check_deposit(fields: Mapping[str, str]) -> None:
    if fields.get("action") != "check_deposit":
        reason = "This shop answers check_deposit and request_payout only"
        raise Refused(reason)


def _verified(request: Request, body: bytes, shop: Shop) -> dict[str, str]:
    settings = shop.settings
    content_type = request.headers.get("content-type", "")
    fields = read_signed(body, content_type=content_type, salt=settings.salt)
    verify_standard(request.headers, body, secret=settings.webhook_secret, now=settings.clock.now())
    return fields


def _note(log: deque[dict[str, Any]], request: Request, body: bytes, shop: Shop) -> dict[str, Any]:
    heard: dict[str, Any] = {
        "at": shop.settings.clock.now().isoformat(),
        "headers": dict(request.headers),
        "body": body.decode(errors="replace"),
        "verified": False,
    }
    log.append(heard)
    return heard


def _no(reason: str, code: int = NO) -> Response:
    return JSONResponse({"code": code, "error_description": reason})


def _useless(manner: str) -> Response:
    status_code, media_type, content = USELESS[manner]
    return Response(content, status_code=status_code, media_type=media_type)


async def _say_nothing(request: Request, shop: Shop, *, is_patient: bool) -> Response:
    if is_patient:
        await wire.until_gone(request, limit_seconds=shop.settings.hang_seconds)
    return await wire.hang_up(request)


def _whole(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= AMOUNT_DIGITS):
        reason = f"{name} is not a whole number"
        raise Refused(reason)
    return int(text)


def _money(fields: Mapping[str, str], prefix: str = "") -> Money:
    try:
        return Money(_whole(fields, f"{prefix}amount"), fields.get(f"{prefix}currency", "").upper())
    except Refusal as refusal:
        raise Refused(str(refusal)) from refusal
