"""The sandbox provider: a stand-in with a web page of its own, whose behaviour is chosen there.

See docs/sandbox.md. Its protocol is JSON with amounts in minor units. Every message carries
`X-Sandbox-Signature`, the hex HMAC-SHA256 of the raw body (of path and query where there is no body) under
the account's secret.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from app import methods
from app.kernel.errors import Refusal
from app.kernel.masking import MASK, CardNumber, holds_card, mask_text, mask_value
from app.kernel.money import MAX_MINOR, Money, UnknownCurrency, currency_exponent
from app.plumbing.http import CallFailed, HttpClient, Reply
from app.providers.contract import (
    BadNotice,
    Cap,
    DepositOrder,
    DisputeReport,
    DisputeStage,
    InstrumentSeen,
    NoticeReply,
    PayoutOrder,
    ProviderAccount,
    ProviderError,
    RawNotice,
    Redirect,
    RefundOrder,
    Report,
    Result,
    State,
    Tokenised,
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
    "returned": State.RETURNED,
    "reversed": State.REVERSED,
}
_KINDS = ("deposit", "payout", "refund")
_ENDED = frozenset({State.FAILED, State.CANCELLED, State.RETURNED, State.REVERSED})
# Declined for want of our own money there, or because this account is out of service: another may do it.
_NOT_HERE = frozenset({"51", "91"})
_CLOSED = "78"  # nothing can be paid to this destination, whoever pays


class Sandbox:
    """The gateway of the sandbox provider; it keeps nothing between calls."""

    name = "sandbox"
    caps = ~Cap(0)  # all that there is

    async def deposit(self, http: HttpClient, account: ProviderAccount, order: DepositOrder) -> Result:
        """Place an order; the same reference again gives the same order.

        Of placing an order, a refusal is final: none was opened under this reference.
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
        if order.method:
            content["method"] = order.method
        return await self._place(http, account, "deposit", content)

    async def pay_out(self, http: HttpClient, account: ProviderAccount, order: PayoutOrder) -> Result:
        """Place a payout; of a card, the destination is a token of this account."""
        content = {
            "reference": order.reference,
            "amount_minor": order.amount.minor,
            "currency": order.amount.currency,
            "description": order.description,
            "player": order.player_reference,
            "method": order.method,
            "destination": dict(order.destination),
            "notice_url": order.notice_url,
        }
        return await self._place(http, account, "payout", content)

    async def refund(self, http: HttpClient, account: ProviderAccount, order: RefundOrder) -> Result:
        """Place a refund of a deposit, found by our reference of it."""
        content = {
            "reference": order.reference,
            "original_reference": order.original_reference,
            "amount_minor": order.amount.minor,
            "currency": order.amount.currency,
            "reason": order.reason,
            "notice_url": order.notice_url,
        }
        return await self._place(http, account, "refund", content)

    async def status(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Ask for the order by our reference, whatever its kind."""
        answer = await self._call(http, account, "GET", f"/v1/orders/{quote(reference, safe='')}", None)
        return answer if isinstance(answer, Result) else _read(answer, reference)

    async def balance(self, http: HttpClient, account: ProviderAccount, currency: str) -> Money | None:
        """Ask how much of our money is there."""
        path = f"/v1/balance?{urlencode({'currency': currency})}"
        answer = await self._call(http, account, "GET", path, None)
        if isinstance(answer, Result) or answer.status != _OK:
            return None
        content = _json_object(answer.body)
        found = _money(content.get("available_minor"), content.get("currency"), least=0)
        return found if found is not None and found.currency == currency else None

    async def tokenise(
        self, http: HttpClient, account: ProviderAccount, number: CardNumber
    ) -> Tokenised | ProviderError:
        """Exchange a card number for a token; nothing of the request is kept."""
        answer = await self._call(http, account, "POST", "/v1/cards", {"number": number.reveal()})
        if isinstance(answer, Result):
            code = answer.error.code if answer.error else ""
            return ProviderError(code, "no answer", retryable=True)
        content = _json_object(answer.body)
        if answer.status == _REFUSED and isinstance(content.get("code"), str):
            return _error(content, "refused")
        token, fingerprint = _number(content.get("token")), _number(content.get("fingerprint"))
        if answer.status not in {_OK, _CREATED} or not token or not fingerprint:
            return ProviderError(f"http_{answer.status}", "no readable answer", retryable=True)
        return Tokenised(token, number.masked, fingerprint)

    async def cancel(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Withdraw an order that nobody paid; where it is too late, the answer says how the order stands."""
        path = f"/v1/deposits/{quote(reference, safe='')}/cancel"
        answer = await self._call(http, account, "POST", path, None)
        return answer if isinstance(answer, Result) else _read(answer, reference, kind="deposit")

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
        at = _instant(content.get("occurred_at"))
        if "dispute" not in content:
            return [Report(notice_id, reference, _result(content), at)]
        dispute = _dispute(content["dispute"])
        if dispute is None:
            return []
        raw = {"answer": _shown(content)}
        return [Report(notice_id, reference, Result(State.UNKNOWN, raw=raw), at, dispute)]

    def reply(self, account: ProviderAccount, notice: RawNotice) -> NoticeReply:
        """Any 2xx ends the repeats."""
        del account, notice
        return NoticeReply(_OK, b'{"received":true}', "application/json")

    async def _place(
        self, http: HttpClient, account: ProviderAccount, kind: str, content: Mapping[str, object]
    ) -> Result:
        """Open an order of a kind, and read what became of it at once."""
        answer = await self._call(http, account, "POST", f"/v1/{kind}s", content)
        if isinstance(answer, Result):
            return answer
        return _read(answer, str(content["reference"]), kind=kind, refusal_is_final=True)

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
        parts = urlsplit(url)
        signed = body if content is not None else urlunsplit(("", "", *parts[2:4], "")).encode()
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


def _read(reply: Reply, reference: str, *, kind: str | None = None, refusal_is_final: bool = False) -> Result:
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
    is_another = kind is not None and content.get("kind", kind) != kind
    if content.get("reference") != reference or is_another:
        error = ProviderError("unreadable", "the answer is not about our order")
        return Result(State.UNKNOWN, error=error, raw={"answer": _shown(content)})
    return _result(content)


def _result(content: Mapping[str, Any]) -> Result:
    """A provider's order as ours: an unknown status, amount or currency makes it UNKNOWN, never a guess."""
    raw = {"answer": _shown(content)}
    state = _STATES.get(str(content.get("status")), State.UNKNOWN)
    kind = content.get("kind", "deposit")
    if kind not in _KINDS or (state is State.REQUIRES_ACTION and kind != "deposit"):
        state = State.UNKNOWN  # a player is asked for something in a deposit only
    reference = _number(content.get("id"))
    amount = _money(content.get("amount_minor"), content.get("currency"))
    if state is State.SUCCEEDED and (amount is None or reference is None):
        return Result(
            State.UNKNOWN,
            reference,
            error=ProviderError("unreadable", "success without amount or id"),
            raw=raw,
        )
    error = _error(content, state.value) if state in _ENDED else None
    url = content.get("redirect_url")
    action = Redirect(url) if state is State.REQUIRES_ACTION and isinstance(url, str) else None
    seen = _instrument(content.get("instrument"))
    return Result(state, reference, amount, action, error, raw, instrument=seen)


def _instrument(content: object) -> InstrumentSeen | None:
    """With what was paid; where a part of it cannot be, there is none.

    A card comes with its marks, anything else as the account itself, whose marks are ours.
    """
    if not isinstance(content, dict):
        return None
    method = _number(content.get("method"))
    token = "" if content.get("token") is None else _number(content["token"])
    masked, fingerprint = _number(content.get("masked")), _number(content.get("fingerprint"))
    if method and isinstance(content.get("account"), str):
        try:
            masked, fingerprint = methods.marks(method, content["account"])
        except Refusal:
            return None
    if not method or token is None or not masked or not fingerprint:
        return None
    return InstrumentSeen(method, masked, fingerprint, token)


def _dispute(content: object) -> DisputeReport | None:
    """One dispute; an unknown stage, or one without number and amount, tells nothing."""
    if not isinstance(content, dict):
        return None
    reference = _number(content.get("id"))
    amount = _money(content.get("amount_minor"), content.get("currency"))
    stage = str(content.get("stage"))
    if reference is None or amount is None or stage not in set(DisputeStage):
        return None
    reason = mask_text(str(content.get("reason") or ""))[:255]
    return DisputeReport(reference, DisputeStage(stage), amount, reason, _instant(content.get("due_at")))


def _shown(content: Mapping[str, Any]) -> object:
    """The provider's words for staff: masked, and without the player's account."""
    instrument = content.get("instrument")
    if isinstance(instrument, dict) and "account" in instrument:
        content = {**content, "instrument": {**instrument, "account": MASK}}
    return mask_value(dict(content))


def _error(content: Mapping[str, Any], otherwise: str) -> ProviderError:
    """The provider's code and words, masked: a card number may be among them."""
    code, message = str(content.get("code") or otherwise), str(content.get("message") or "")
    return ProviderError(
        mask_text(code)[:64],
        mask_text(message)[:255],
        retryable=code in _NOT_HERE,
        undeliverable=code == _CLOSED,
    )


def _number(text: object) -> str | None:
    """A provider's number, or ours in its mouth, if it can be one; a card's number never is."""
    if isinstance(text, str) and 0 < len(text) <= _REFERENCE_LIMIT and text.isascii() and text.isprintable():
        return None if holds_card(text) else text
    return None


def _money(minor: object, currency: object, least: int = 1) -> Money | None:
    if isinstance(minor, bool) or not isinstance(minor, int) or not isinstance(currency, str):
        return None
    try:
        currency_exponent(currency)
    except UnknownCurrency:
        return None
    return Money(minor, currency) if least <= minor <= MAX_MINOR else None


def _instant(text: object) -> datetime | None:
    """An instant that can be kept: in its own zone it may be in the calendar, and not in ours."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


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
