"""The sandbox provider: a stand-in with a web page of its own, whose behaviour is chosen there.

See docs/sandbox.md. Its protocol is JSON with amounts in minor units. Every message carries
`X-Sandbox-Signature`, the hex HMAC-SHA256 of the raw body (of path and query where there is no body) under
the account's secret.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from app.kernel.masking import mask_text, mask_value
from app.kernel.money import MAX_MINOR, Money, UnknownCurrency, currency_exponent
from app.plumbing.http import CallFailed, HttpClient, Reply
from app.providers.contract import (
    BadNotice,
    Cap,
    DepositOrder,
    NoticeReply,
    ProviderAccount,
    ProviderError,
    RawNotice,
    Redirect,
    Report,
    Result,
    State,
)

__all__ = ["GATEWAY", "Sandbox"]

DEADLINE_SECONDS = 8.0  # a player waits at the other end
_OK, _CREATED, _REFUSED, _NOT_FOUND, _TOO_LATE = 200, 201, 400, 404, 409
_REFERENCE_LIMIT = 128  # of the provider's numbers and of ours, by docs/sandbox.md
_STATES = {
    "awaiting_player": State.REQUIRES_ACTION,
    "pending": State.PROCESSING,
    "approved": State.SUCCEEDED,
    "declined": State.FAILED,
    "cancelled": State.CANCELLED,
    "not_found": State.NOT_FOUND,
}


class Sandbox:
    """The gateway of the sandbox provider; it keeps nothing between calls."""

    name = "sandbox"
    caps = Cap.DEPOSIT | Cap.CANCEL | Cap.STATUS | Cap.NOTICE | Cap.REDIRECT

    async def deposit(self, http: HttpClient, account: ProviderAccount, order: DepositOrder) -> Result:
        """Place an order; the same reference again gives the same order.

        Only here a refusal of the request is final: no order was opened under this reference.
        """
        content = {
            "reference": order.reference,
            "amount_minor": order.amount.minor,
            "currency": order.amount.currency,
            "description": order.description,
            "player": order.player_reference,
            "return_url": order.return_url,
            "notice_url": order.notice_url,
        }
        answer = await self._call(http, account, "POST", "/v1/deposits", content)
        return answer if isinstance(answer, Result) else _read(answer, order.reference, refusal_is_final=True)

    async def status(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Ask for the order by our reference."""
        answer = await self._call(http, account, "GET", f"/v1/deposits/{quote(reference, safe='')}", None)
        return answer if isinstance(answer, Result) else _read(answer, reference)

    async def cancel(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Withdraw an order that nobody paid; where it is too late, the answer says how the order stands."""
        path = f"/v1/deposits/{quote(reference, safe='')}/cancel"
        answer = await self._call(http, account, "POST", path, None)
        return answer if isinstance(answer, Result) else _read(answer, reference)

    def verify(self, account: ProviderAccount, notice: RawNotice) -> None:
        """Compare the signature over the raw bytes, in constant time; without a secret, nothing fits."""
        given = notice.headers.get("x-sandbox-signature", "").encode()
        fits = hmac.compare_digest(_signature(account, notice.body).encode(), given)
        if not fits or not account.credentials.get("secret"):
            raise BadNotice

    def parse(self, account: ProviderAccount, notice: RawNotice) -> list[Report]:
        """One order's state."""
        del account
        content = _json_object(notice.body)
        notice_id, reference = _number(content.get("notice_id")), _number(content.get("reference"))
        if notice_id is None or reference is None:
            return []
        return [Report(notice_id, reference, _result(content), _instant(content.get("occurred_at")))]

    def reply(self, account: ProviderAccount, notice: RawNotice) -> NoticeReply:
        """Any 2xx ends the repeats."""
        del account, notice
        return NoticeReply(_OK, b'{"received":true}', "application/json")

    async def _call(
        self,
        http: HttpClient,
        account: ProviderAccount,
        method: str,
        path: str,
        content: Mapping[str, object] | None,
    ) -> Reply | Result:
        url = account.base_url.rstrip("/") + path
        body = b"" if content is None else json.dumps(content, separators=(",", ":")).encode()
        signed = body if content is not None else urlsplit(url).path.encode()
        headers = {
            "content-type": "application/json",
            "x-sandbox-account": account.credentials.get("account", ""),
            "x-sandbox-signature": _signature(account, signed),
        }
        try:
            return await http.call(
                method,
                url,
                body=body,
                headers=headers,
                deadline_seconds=DEADLINE_SECONDS,
                peer=f"sandbox {account.base_url}",
            )
        except CallFailed as failed:
            error = ProviderError(failed.kind.value, str(failed))
            return Result(State.UNKNOWN, error=error, nothing_was_sent=failed.nothing_was_sent)


def _read(reply: Reply, reference: str, *, refusal_is_final: bool = False) -> Result:
    """An answer about the order that carries our `reference`; about another one it says nothing."""
    content = _json_object(reply.body)
    if reply.status == _TOO_LATE and isinstance(content.get("order"), dict):
        content = content["order"]
    elif reply.status == _NOT_FOUND and content.get("status") == "not_found":
        return _result(content)
    elif reply.status not in {_OK, _CREATED}:
        raw = {"http_status": reply.status, "answer": mask_value(content)}
        if reply.status == _REFUSED and refusal_is_final and isinstance(content.get("code"), str):
            return Result(State.FAILED, error=_error(content, "refused"), raw=raw)
        error = ProviderError(f"http_{reply.status}", "no readable answer")
        return Result(State.UNKNOWN, error=error, raw=raw)
    if content.get("reference") != reference:
        error = ProviderError("unreadable", "the answer is not about our order")
        return Result(State.UNKNOWN, error=error, raw={"answer": mask_value(content)})
    return _result(content)


def _result(content: Mapping[str, Any]) -> Result:
    """A provider's order as ours: an unknown status, amount or currency makes it UNKNOWN, never a guess."""
    raw = {"answer": mask_value(dict(content))}
    state = _STATES.get(str(content.get("status")), State.UNKNOWN)
    reference = _number(content.get("id"))
    amount = _money(content.get("amount_minor"), content.get("currency"))
    if state is State.SUCCEEDED and (amount is None or reference is None):
        return Result(
            State.UNKNOWN,
            reference,
            error=ProviderError("unreadable", "success without amount or id"),
            raw=raw,
        )
    error = _error(content, state.value) if state in {State.FAILED, State.CANCELLED} else None
    url = content.get("redirect_url")
    action = Redirect(url) if state is State.REQUIRES_ACTION and isinstance(url, str) else None
    return Result(state, reference, amount, action, error, raw)


def _error(content: Mapping[str, Any], otherwise: str) -> ProviderError:
    """The provider's code and words, masked: a card number may be among them."""
    code, message = str(content.get("code") or otherwise), str(content.get("message") or "")
    return ProviderError(mask_text(code)[:64], mask_text(message)[:255])


def _number(text: object) -> str | None:
    """A provider's number, or ours in its mouth, if it can be one."""
    if isinstance(text, str) and 0 < len(text) <= _REFERENCE_LIMIT and text.isascii() and text.isprintable():
        return text
    return None


def _money(minor: object, currency: object) -> Money | None:
    if isinstance(minor, bool) or not isinstance(minor, int) or not isinstance(currency, str):
        return None
    try:
        currency_exponent(currency)
    except UnknownCurrency:
        return None
    return Money(minor, currency) if 0 < minor <= MAX_MINOR else None


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _json_object(body: bytes) -> dict[str, Any]:
    """The members of a JSON object; of anything that two readers could read differently, none."""
    try:
        content = json.loads(body, object_pairs_hook=_members)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # no NaN, no half characters
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name appears twice")
    return content


def _signature(account: ProviderAccount, signed: bytes) -> str:
    return hmac.new(account.credentials.get("secret", "").encode(), signed, hashlib.sha256).hexdigest()


GATEWAY = Sandbox()
