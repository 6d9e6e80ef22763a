"""Tell the cashier to pay a withdrawal that you accepted, once, whatever happens on the way.

Copy it. It needs nothing but Python. Beside a running demo, for a withdrawal that waits at the shop's desk:

    python docs/examples/payout_initiation.py <external_id> <amount> <site_login>

What it shows:

- the message is signed as every message is, and is the same on every try;
- only `success: true` with an `order_id` means that the cashier pays;
- `success: false` means that it does not, and says why, except 404 at first: your answer to `request_payout`
  may not have been written down yet;
- everything else (no answer, 429, 5xx, nonsense) means that nobody knows: send the same message again. The
  order number is yours, so the cashier pays once.
"""
# ruff: noqa: INP001  a file to be copied, not a module of the house

import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["NotPaid", "Unknown", "initiate", "sign"]

PAUSES_SECONDS: Final = (0.5, 2, 5, 15, 60)
DEADLINE_SECONDS: Final = 10
NOT_FOUND, TOO_MANY, SERVER_ERROR = 404, 429, 500


class NotPaid(Exception):
    """The cashier does not pay this; the text says why. Give the player the money back, or correct it."""


class Unknown(Exception):
    """No answer was understood: the cashier may be paying. Send the same message again later."""


def sign(fields: Mapping[str, str], salt: str) -> str:
    """SHA-1 over `name:value;` in the order of the names, then the salt; empty fields stay out."""
    text = "".join(f"{name}:{fields[name]};" for name in sorted(fields) if fields[name] != "")
    return hashlib.sha1((text + salt).encode(), usedforsecurity=False).hexdigest()


def initiate(
    base_url: str, salt: str, fields: Mapping[str, str], pauses: tuple[float, ...] = PAUSES_SECONDS
) -> str:
    """Initiate a payout and return the cashier's `order_id`; raise NotPaid or Unknown.

    `fields`: `site_id`, `site_login`, `amount`, `currency` and `external_id` at least, all as text.
    """
    content = {**fields, "signature": sign(fields, salt)}
    request = urllib.request.Request(  # noqa: S310  the address is your own setting
        f"{base_url}/api/payout/", json.dumps(content).encode(), {"content-type": "application/json"}
    )
    for pause in (*pauses, None):
        status, answer = _ask(request)
        if answer.get("success") is True and answer.get("order_id"):
            return str(answer["order_id"])
        is_no = answer.get("success") is False and status < SERVER_ERROR and status != TOO_MANY
        if is_no and (status != NOT_FOUND or pause is None):
            raise NotPaid(answer.get("errors"))
        if pause is not None:
            time.sleep(pause)
    raise Unknown


def _ask(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the JSON object of an answer; 0 and nothing if there is none."""
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as reply:  # noqa: S310  as above
            status, body = reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        with refused:
            status, body = refused.code, refused.read()
    except (OSError, ValueError):
        return 0, {}
    try:
        answer = json.loads(body)
    except ValueError:
        return status, {}
    return status, answer if isinstance(answer, dict) else {}


def main() -> None:
    """Initiate one withdrawal of the demo's shop."""
    demo = json.loads(Path("var/demo.json").read_text())
    external_id, amount, site_login = sys.argv[1:]
    fields = {
        "action": "payout",
        "site_id": str(demo["site_id"]),
        "site_login": site_login,
        "amount": amount,
        "currency": demo["currency"],
        "external_id": external_id,
    }
    sys.stdout.write(initiate(demo["base_url"], demo["salt"], fields) + "\n")


if __name__ == "__main__":
    main()
