"""How our messages to merchants are written and signed, twice.

The protocol's SHA-1 field signature, and beside it the Standard Webhooks headers (HMAC-SHA256 over the very
bytes sent), so that a merchant can move to the better one without a switch day.
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from app.kernel import signing

__all__ = ["SignedMessage", "signed", "standard_headers"]


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """The exact bytes to send, their headers, and the SHA-1 signature inside them."""

    body: bytes
    headers: Mapping[str, str]
    signature: str


def signed(
    fields: Mapping[str, str | int],
    *,
    salt: str,
    dialect: signing.Dialect,
    as_form: bool,
    webhook_secret: str,
    message_id: str,
    at: datetime,
) -> SignedMessage:
    """Write the fields as JSON or as a form, signed both ways.

    Args:
        fields: names and values of the protocol; empty values are left out by the caller.
        salt: the site's newest salt (SHA-1 rule, protocol.md section 1).
        dialect: the site's variant of the rule.
        as_form: `application/x-www-form-urlencoded` instead of JSON.
        webhook_secret: `whsec_` and base64 (Standard Webhooks).
        message_id: the same for every repeat of one message; the receiver's key against duplicates.
        at: the instant of this attempt; receivers refuse old ones.
    """
    signature = signing.sign(fields, salt, dialect)
    content = {**fields, "signature": signature}
    body = (
        urlencode(content).encode()
        if as_form
        else json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    )
    headers = {
        "content-type": "application/x-www-form-urlencoded" if as_form else "application/json",
        **standard_headers(body, secrets=[webhook_secret], message_id=message_id, at=at),
    }
    return SignedMessage(body, headers, signature)


def standard_headers(body: bytes, *, secrets: Sequence[str], message_id: str, at: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks over exactly these bytes.

    Args:
        body: as it is sent.
        secrets: `whsec_` and base64; each makes a signature of its own, so that a receiver who knows any of
            them believes the message: that is how a secret is changed without a refused message.
        message_id: the same for every repeat of one message; the receiver's key against duplicates.
        at: the instant of this attempt; receivers refuse old ones.
    """
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [
        base64.b64encode(
            hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), content, "sha256")
        ).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
