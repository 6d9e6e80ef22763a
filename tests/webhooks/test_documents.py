"""What openapi/webhooks.json and docs/webhooks.md show is what is sent."""

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime
from typing import Any

import pytest
import standardwebhooks

from app.payments import contract
from app.payments.states import NEXT, DisputeState
from app.webhooks import rules, schemas, terms
from app.webhooks.model import EVENT_SCHEDULE, Event
from tests.conftest import ROOT
from tests.webhooks.conftest import Post, changed

DOCUMENT = json.loads((ROOT / "openapi/webhooks.json").read_text())
MANUAL = (ROOT / "docs/webhooks.md").read_text()


def shown(name: str) -> dict[str, Any]:
    """The examples of one message."""
    content = DOCUMENT["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]
    return {title: example["value"] for title, example in content["examples"].items()}


def test_both_products_are_described_with_examples() -> None:
    assert set(DOCUMENT["webhooks"]) == {"payment", "event"}
    assert len(shown("payment")) >= 4
    assert {example["type"] for example in shown("event").values()} >= {
        "deposit.completed",
        "withdrawal.requested",
        "withdrawal.approved",
        "transaction.failed",
        "transaction.reversed",
        "refund.completed",
        "dispute.opened",
        "transaction.resolved",
    }


@pytest.mark.parametrize("title", shown("payment"))
def test_an_example_of_a_notification_has_its_fields_and_signature(title: str) -> None:
    example = shown("payment")[title]
    schemas.PaymentNotification.model_validate(example, strict=True)
    assert example.keys() <= schemas.PaymentNotification.model_fields.keys()
    text = "".join(f"{name}:{example[name]};" for name in sorted(example) if name != "signature")
    signature = hashlib.sha1((text + "test_salt").encode(), usedforsecurity=False).hexdigest()
    assert signature == example["signature"]


@pytest.mark.parametrize("title", shown("event"))
def test_an_example_of_an_event_is_what_the_machinery_writes(title: str) -> None:
    example = shown("event")[title]
    schemas.EventMessage.model_validate(example, strict=True)
    assert example["type"] in terms.EVENT_TYPES
    data = example["data"]
    event = Event(
        type=example["type"],
        subject=data["object"]["id"],
        sequence=example["sequence"],
        object=data["object"],
        previous_attributes=data["previous_attributes"],
        occurred_at=datetime.fromisoformat(example["created_at"]),
    )
    body = rules.body_of(example["id"], event, is_thin=title == "thin")
    assert json.loads(body) == example


async def test_what_is_sent_is_what_is_described(post: Post) -> None:
    await post.register()
    await post.sent(changed(3))
    body = post.good.heard[0].fields
    schemas.EventMessage.model_validate(body, strict=True)
    assert body.keys() == schemas.EventMessage.model_fields.keys()
    assert body["data"].keys() == schemas.EventData.model_fields.keys()


def test_every_name_that_payments_gives_its_events_is_in_the_catalogue() -> None:
    named = {"payment.attention"}
    for kind, moves in NEXT.items():
        for state in moves.keys() | {target for targets in moves.values() for target in targets}:
            named |= {contract.event_type(kind, state, is_late=is_late) for is_late in (False, True)}
    assert {"transaction.unknown", "withdrawal.requested", "refund.completed"} < named
    assert named <= terms.EVENT_TYPES.keys()
    assert {f"dispute.{state.value}" for state in DisputeState} <= terms.EVENT_TYPES.keys()


def test_the_manual_lists_every_type_and_the_schedule() -> None:
    listed = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", MANUAL, re.MULTILINE))
    assert listed == terms.EVENT_TYPES.keys()
    for name, sentence in terms.EVENT_TYPES.items():
        assert f"| `{name}` | {sentence} |" in MANUAL
    words = {5: "5 s", 300: "5 min", 1800: "30 min"}
    delays = [words.get(d.seconds, f"{d.total_seconds() / 3600:g} h") for d in EVENT_SCHEDULE]
    assert ", ".join(delays) in MANUAL


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", MANUAL, re.DOTALL | re.MULTILINE)


async def test_the_receiver_of_the_manual_believes_us_and_nobody_else(live: Post) -> None:
    registered = await live.register()
    example: dict[str, Any] = {}
    exec(blocks()[0], example)  # noqa: S102  our own document
    await live.sent(changed(1))
    [heard] = live.good.heard
    assert example["event_of"](heard.headers, heard.body, registered.secret) == heard.fields
    refused = [
        (heard.headers, heard.body + b" ", registered.secret),
        (heard.headers, heard.body, live.created.webhook_secret),
        ({**heard.headers, "webhook-id": "evt_other"}, heard.body, registered.secret),
        ({**heard.headers, "webhook-timestamp": "1"}, heard.body, registered.secret),
    ]
    for headers, body, secret in refused:
        with pytest.raises(ValueError, match="not ours"):
            example["event_of"](headers, body, secret)
    # Old, but rightly signed.
    old = {**heard.headers, "webhook-timestamp": "1700000000"}
    content = f"{old['webhook-id']}.1700000000.".encode() + heard.body
    key = base64.b64decode(registered.secret.removeprefix("whsec_"))
    old["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    with pytest.raises(ValueError, match="not ours"):
        example["event_of"](old, heard.body, registered.secret)
    assert standardwebhooks.Webhook(registered.secret).verify(heard.body.decode(), heard.headers)


def test_the_consumer_of_the_manual_has_one_effect_a_change() -> None:
    example: dict[str, Any] = {}
    exec("\n".join(blocks()[:2]), example)  # noqa: S102  our own document
    done: list[tuple[str, int]] = []
    book = example["Book"](lambda event: done.append((event["data"]["object"]["id"], event["sequence"])))

    def event(number: int, subject: str = "dep_1", name: str = "evt") -> dict[str, Any]:
        return {"id": f"{name}_{subject}_{number}", "sequence": number, "data": {"object": {"id": subject}}}

    for one in (event(1), event(2), event(2), event(1), event(4), event(3), event(1, "dep_2")):
        book.take(one)
    book.take(event(4, name="again"))
    assert done == [("dep_1", 1), ("dep_1", 2), ("dep_1", 4), ("dep_2", 1)]
