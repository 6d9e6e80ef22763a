"""What we ask the merchant's server, and how its answer is read: accepted, refused, or unknown. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.kernel.masking import mask_text
from app.kernel.money import Money

__all__ = [
    "Answer",
    "CalloutState",
    "DepositQuestion",
    "PayoutQuestion",
    "check_deposit_fields",
    "read_check_deposit",
    "read_request_payout",
    "request_payout_fields",
]

_EXTERNAL_ID_LIMIT, _PURSE_LIMIT, _DESCRIPTION_LIMIT = 256, 256, 1024
_HTTP_OK = range(200, 300)


class CalloutState(StrEnum):
    """SENT is stored before the first byte leaves; anything but a well-formed answer is UNKNOWN.

    NO_FUNDS and REFUSED both end the payment; they differ in what the player is told.
    """

    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_FUNDS = "no_funds"
    UNKNOWN = "unknown"


# What each code means to each question (protocol.md sections 3.1, 3.2, 12); every other code means nothing.
_OF_DEPOSIT: Final = {0: CalloutState.ACCEPTED, 500: CalloutState.REFUSED}
_OF_PAYOUT: Final = {
    50: CalloutState.ACCEPTED,
    402: CalloutState.NO_FUNDS,
    500: CalloutState.REFUSED,
}


@dataclass(frozen=True, slots=True)
class DepositQuestion:
    """May this player pay this in? `transaction_id` is the cashier's public number of the payment."""

    payment_id: str
    transaction_id: str
    site_login: str
    amount: Money
    payment_group_id: int
    payment_type_id: int
    customer_ip: str
    source_type: int


@dataclass(frozen=True, slots=True)
class PayoutQuestion:
    """May this player withdraw this?

    `transaction_id` is the cashier's public number of the payment, the same whenever it is asked again;
    `customer_purse` the destination as people may see it, a card masked.
    """

    payment_id: str
    transaction_id: str
    site_login: str
    amount: Money
    payment_group_id: int
    payment_type_id: int
    customer_purse: str
    remember_customer_purse: bool
    customer_ip: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the merchant said.

    `reason` is the merchant's own sentence, or ours when it said nothing readable.
    """

    state: CalloutState
    external_id: str = ""
    reason: str = ""


def check_deposit_fields(site_id: int, question: DepositQuestion) -> dict[str, str | int]:
    """The fields of `check_deposit` (protocol.md section 3.1), without the signature."""
    fields: dict[str, str | int] = {
        "action": "check_deposit",
        "site_id": site_id,
        "site_login": question.site_login,
        "amount": question.amount.minor,
        "currency": question.amount.currency,
        "payment_group_id": question.payment_group_id,
        "payment_type_id": question.payment_type_id,
        "customer_ip": question.customer_ip,
        "source_type": question.source_type,
        "transaction_id": question.transaction_id,
    }
    return {name: value for name, value in fields.items() if value != ""}


def request_payout_fields(site_id: int, question: PayoutQuestion) -> dict[str, str | int]:
    """The fields of `request_payout` (protocol.md section 3.2), without the signature.

    Whatever was put into the purse: no card number leaves, and nothing that the signature could not bear.
    """
    fields: dict[str, str | int] = {
        "action": "request_payout",
        "site_id": site_id,
        "site_login": question.site_login,
        "amount": question.amount.minor,
        "currency": question.amount.currency,
        "payment_group_id": question.payment_group_id,
        "payment_type_id": question.payment_type_id,
        "customer_purse": _signable(mask_text(question.customer_purse), _PURSE_LIMIT),
        "remember_customer_purse": int(question.remember_customer_purse),
        "customer_ip": question.customer_ip,
        "transaction_id": question.transaction_id,
    }
    return {name: value for name, value in fields.items() if value != ""}


def read_check_deposit(status: int, body: bytes) -> Answer:
    """Read the answer to `check_deposit`: 0 allows it under an `external_id`, 500 refuses it.

    Only HTTP 2xx with the exact shape counts, everything else is unknown.
    """
    return _read(status, body, _OF_DEPOSIT)


def read_request_payout(status: int, body: bytes) -> Answer:
    """Read the answer to `request_payout`: 50 accepts it under an `external_id`, 402 and 500 refuse it.

    Only HTTP 2xx with the exact shape counts, everything else is unknown. A code 0 too: it is the word for
    deposits, and money must not leave on a misunderstanding.
    """
    return _read(status, body, _OF_PAYOUT)


def _read(status: int, body: bytes, meanings: Mapping[int, CalloutState]) -> Answer:
    content = _object(body)
    if status not in _HTTP_OK or content is None:
        return Answer(CalloutState.UNKNOWN, reason=f"HTTP {status} without a readable answer")
    code = content.get("code")
    if isinstance(code, bool) or not isinstance(code, int):
        return Answer(CalloutState.UNKNOWN, reason="the answer has no integer code")
    state = meanings.get(code)
    if state is None:
        return Answer(CalloutState.UNKNOWN, reason=f"code {code} is none of the protocol")
    if state is not CalloutState.ACCEPTED:
        return Answer(state, reason=_text(content.get("error_description"), _DESCRIPTION_LIMIT))
    external_id = content.get("external_id")
    if isinstance(external_id, int) and not isinstance(external_id, bool):
        external_id = str(external_id)  # seen in the field: a number where the protocol says text
    if not isinstance(external_id, str) or not _is_plain(external_id, _EXTERNAL_ID_LIMIT):
        return Answer(CalloutState.UNKNOWN, reason="accepted without a usable external_id")
    return Answer(CalloutState.ACCEPTED, external_id=external_id)


def _object(body: bytes) -> Mapping[str, object] | None:
    try:
        content = json.loads(body, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name appears twice")
    return content


def _no_constant(text: str) -> float:
    raise ValueError(text)  # NaN and the infinities are not JSON


def _is_plain(text: str, limit: int) -> bool:
    """Usable in a signed message: not blank, no control characters, no `:` or `;` (protocol.md 15)."""
    return 0 < len(text) <= limit and text.isprintable() and not text.isspace() and not set(text) & {":", ";"}


def _text(value: object, limit: int) -> str:
    """A sentence of the merchant's, masked: it is kept, and a card number may be in it."""
    text = mask_text(value) if isinstance(value, str) else ""
    return "".join(mark if mark.isprintable() else " " for mark in text)[:limit]


def _signable(text: str, limit: int) -> str:
    """Text of ours made safe for the SHA-1 rule, where `:` and `;` are delimiters (protocol.md 15)."""
    return "".join(mark if mark.isprintable() and mark not in ":;" else " " for mark in text)[:limit].strip()
