"""How the demo shop makes sure that a message comes from the cashier: by SHA-1 and by Standard Webhooks."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from app.kernel import signing
from app.kernel.errors import Refusal

__all__ = ["BadSignature", "Unreadable", "read_signed", "standard_signature", "verify_standard"]

# Standard Webhooks: a message more than five minutes away from our clock may be a replay.
TOLERANCE_SECONDS: Final = 300
TIMESTAMP_DIGITS: Final = 12
STANDARD_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


class BadSignature(Exception):
    """The message was not signed with our secret; the text says which signature is wrong."""


class Unreadable(Exception):
    """The message is neither a flat JSON object nor a form; the text says why."""


def read_signed(body: bytes, *, content_type: str, salt: str) -> dict[str, str]:
    """Return the fields of a JSON or form body whose `signature` (protocol.md 1) fits, without that field.

    Raises Unreadable, and BadSignature if the signature is missing or wrong.
    """
    is_form = content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
    try:
        pairs = signing.pairs_from_form(body) if is_form else signing.pairs_from_json(body)
    except Refusal as refusal:
        raise Unreadable(str(refusal)) from refusal
    fields = dict(pairs)
    if len(fields) != len(pairs):
        reason = "A field is there twice."
        raise Unreadable(reason)
    signature = fields.pop("signature", "")
    if signing.matches(fields, signature, [salt]) is None:
        reason = "signature"
        raise BadSignature(reason)
    return fields


def standard_signature(secret: str, *, message_id: str, timestamp: str, body: bytes) -> str:
    """Return `v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`, keyed with the secret's bytes."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        message = "the webhook secret is not base64"
        raise ValueError(message) from error
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def verify_standard(headers: Mapping[str, str], body: bytes, *, secret: str, now: datetime) -> None:
    """Check the Standard Webhooks headers if any of them is there; raise BadSignature.

    One of the space-separated signatures must fit, and the time must be within five minutes of `now`.
    """
    message_id, timestamp, signatures = (headers.get(name, "") for name in STANDARD_HEADERS)
    if not secret or not (message_id or timestamp or signatures):
        return
    is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_DIGITS
    if not is_number or abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        reason = "webhook-timestamp"
        raise BadSignature(reason)
    expected = standard_signature(secret, message_id=message_id, timestamp=timestamp, body=body).encode()
    fits = [hmac.compare_digest(offered.encode(), expected) for offered in signatures.split(" ")]
    if not message_id or not any(fits):
        reason = "webhook-signature"
        raise BadSignature(reason)
