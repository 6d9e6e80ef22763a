"""Tell the cashier to pay a withdrawal that you accepted, once, whatever happens on the way.

Copy it. It needs nothing but Python. Beside a running demo, for a withdrawal that waits at the shop's desk
(the amount in minor units, 150000 for 1500.00 KZT):

    python docs/examples/payout_initiation.py <external_id> <amount> <site_login>

What it shows:

- the message is signed as every message is, and is the same on every try;
- only `success: true` with an `order_id` means that the cashier pays;
- `success: false` means that it does not, and says why, except 404 at first: your answer to `request_payout`
  may not have been written down yet;
- a 401 is about your salt or site number and says nothing of the withdrawal: an earlier try may have been
  taken, so give no money back for it;
- everything else (no answer, 429, 5xx, nonsense) means that nobody knows: send the same message again, later
  where `Retry-After` says so. The order number is yours, so the cashier pays once.

In your own program write down that you begin before you call `initiate`, and what it said afterwards. What
was begun and has no end when your program starts again is initiated again with the same fields.
"""
# ruff: noqa: INP001  a file to be copied, not a module of the house

import hashlib
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

__all__ = ["NotAuthentic", "NotPaid", "Unknown", "initiate", "sign"]

PAUSES_SECONDS: Final = (0.5, 2, 5, 15, 60)
DEADLINE_SECONDS: Final = 10
LONGEST_WAIT_SECONDS: Final = 300  # whatever Retry-After says
ANSWER_LIMIT_BYTES: Final = 65_536
UNAUTHENTIC, NOT_FOUND, TOO_MANY, SERVER_ERROR = 401, 404, 429, 500
EXIT_NOT_PAID, EXIT_WRONG_CALL, EXIT_UNKNOWN = 1, 2, 3


class NotPaid(Exception):
    """The cashier does not pay this; the text says why. Give the player the money back, or correct it."""


class NotAuthentic(Exception):
    """The cashier does not know your signature. Correct the salt or the site number, then send it again."""


class Unknown(Exception):
    """No answer was understood: the cashier may be paying. Send the same message again later."""


def sign(fields: Mapping[str, str], salt: str) -> str:
    """SHA-1 over `name:value;` in the order of the names, then the salt; empty fields stay out."""
    text = "".join(f"{name}:{fields[name]};" for name in sorted(fields) if fields[name] != "")
    return hashlib.sha1((text + salt).encode(), usedforsecurity=False).hexdigest()


def initiate(
    base_url: str, salt: str, fields: Mapping[str, str], pauses: tuple[float, ...] = PAUSES_SECONDS
) -> str:
    """Initiate a payout and return the cashier's `order_id`; raise NotPaid, NotAuthentic or Unknown.

    `fields`: `site_id`, `site_login`, `amount`, `currency` and `external_id` at least, all as text.
    `pauses`: the seconds between the tries.
    """
    content = {**fields, "signature": sign(fields, salt)}
    request = urllib.request.Request(  # noqa: S310  the address is your own setting
        f"{base_url}/api/payout/", json.dumps(content).encode(), {"content-type": "application/json"}
    )
    doubt = ""
    for pause in (*pauses, None):
        status, answer, wait = _ask(request)
        doubt = f"HTTP {status}" if status else "no answer"
        if answer.get("success") is True and answer.get("order_id"):
            return str(answer["order_id"])
        is_no = answer.get("success") is False and status < SERVER_ERROR and status != TOO_MANY
        if is_no and status == UNAUTHENTIC:
            raise NotAuthentic(answer.get("errors") or doubt)
        if is_no and (status != NOT_FOUND or pause is None):
            raise NotPaid(answer.get("errors") or doubt)
        if pause is not None:
            time.sleep(max(pause, wait))
    raise Unknown(doubt)


def _ask(request: urllib.request.Request) -> tuple[int, dict[str, Any], float]:
    """The HTTP status and the JSON object of an answer, and for how long the cashier wants to be left alone.

    0 and nothing if there is no answer; nothing, if it is not such an object.
    """
    try:
        try:
            reply = urllib.request.urlopen(request, timeout=DEADLINE_SECONDS)  # noqa: S310  as above
        except urllib.error.HTTPError as refused:
            reply = refused  # a 4xx or 5xx is an answer too
        with closing(reply):
            status, body = reply.status, reply.read(ANSWER_LIMIT_BYTES)
            asked_for = reply.headers.get("Retry-After", "")
    except (OSError, ValueError, http.client.HTTPException):
        return 0, {}, 0  # never left, never came, or broken off in the middle: nobody knows which
    wait = min(int(asked_for), LONGEST_WAIT_SECONDS) if asked_for.isdecimal() else 0
    try:
        answer = json.loads(body)
    except ValueError:
        return status, {}, wait
    return status, answer if isinstance(answer, dict) else {}, wait


def main() -> int:
    """Initiate one withdrawal of the demo's shop."""
    try:
        external_id, amount, site_login = sys.argv[1:]
    except ValueError:
        return _said("usage: payout_initiation.py <external_id> <amount> <site_login>", EXIT_WRONG_CALL)
    try:
        demo = json.loads(Path("var/demo.json").read_text())
    except FileNotFoundError:
        return _said(
            "var/demo.json is not here: start the demo (make run), and call this beside var/", EXIT_WRONG_CALL
        )
    fields = {
        "action": "payout",
        "site_id": str(demo["site_id"]),
        "site_login": site_login,
        "amount": amount,
        "currency": demo["currency"],
        "external_id": external_id,
    }
    try:
        order_id = initiate(demo["base_url"], demo["salt"], fields)
    except NotPaid as no:
        return _said(f"not paid: {no}", EXIT_NOT_PAID)
    except NotAuthentic as no:
        return _said(
            f"nothing is known of {external_id}: {no} Correct the salt or the site number", EXIT_WRONG_CALL
        )
    except Unknown as doubt:
        again = "the cashier may be paying; call this again with the same words"
        return _said(f"nobody knows ({doubt}): {again}", EXIT_UNKNOWN)
    sys.stdout.write(order_id + "\n")
    return 0


def _said(sentence: str, status: int) -> int:
    sys.stderr.write(sentence + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
