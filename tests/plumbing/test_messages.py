"""Our messages to merchants, verified by others' code."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.kernel import signing
from app.plumbing.messages import SignedMessage, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FIELDS: dict[str, str | int] = {"action": "deposit", "amount": 1050, "name": "Әлия & Co", "site_id": 7}


def written(*, as_form: bool = False, at: datetime | None = None) -> SignedMessage:
    return signed(
        FIELDS,
        salt="pepper",
        dialect=signing.Dialect.G,
        as_form=as_form,
        webhook_secret=SECRET,
        message_id="whk_1",
        at=at or datetime.now(UTC),  # noqa: TID251  the verifier looks at the real clock
    )


def content(message: SignedMessage) -> dict[str, str]:
    if message.headers["content-type"] == "application/json":
        return {name: str(value) for name, value in json.loads(message.body).items()}
    assert message.headers["content-type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl(message.body.decode(), strict_parsing=True))


@pytest.mark.parametrize("as_form", [True, False])
def test_both_signatures_are_right(as_form: bool) -> None:
    message = written(as_form=as_form)
    fields = content(message)
    signature = fields.pop("signature")
    assert fields == {name: str(value) for name, value in FIELDS.items()}
    string = "".join(f"{name}:{fields[name]};" for name in sorted(fields)) + "pepper"
    assert signature == message.signature == hashlib.sha1(string.encode()).hexdigest()  # noqa: S324
    at = datetime.fromtimestamp(int(message.headers["webhook-timestamp"]), UTC)
    expected = Webhook(SECRET).sign(message.headers["webhook-id"], at, message.body.decode())
    assert message.headers["webhook-signature"] == expected


def test_the_receivers_library_accepts_it() -> None:
    message = written()
    assert Webhook(SECRET).verify(message.body, dict(message.headers)) == json.loads(message.body)


def test_another_body_secret_id_or_time_is_refused() -> None:
    message = written()
    for body, secret, headers in (
        (message.body.replace(b"1050", b"1051"), SECRET, message.headers),
        (message.body, "whsec_" + "AAAA" * 8, message.headers),
        (message.body, SECRET, {**message.headers, "webhook-id": "whk_2"}),
        (message.body, SECRET, {**message.headers, "webhook-timestamp": "1"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, dict(headers))


def test_a_repeat_keeps_its_id_and_its_content_and_is_signed_anew() -> None:
    now = datetime.now(UTC)  # noqa: TID251  the verifier looks at the real clock
    first, second = written(at=now - timedelta(seconds=45)), written(at=now)
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    Webhook(SECRET).verify(second.body, dict(second.headers))


def test_an_old_repeat_is_refused_by_the_receiver() -> None:
    message = written(at=datetime.now(UTC) - timedelta(hours=1))  # noqa: TID251
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(message.body, dict(message.headers))
