"""Attack: a provider's number of an order writes further fields into the string that we sign for merchants."""

from dataclasses import replace
from datetime import UTC, datetime

from app.kernel import signing
from app.kernel.money import Money
from app.payments.contract import PaymentFacts, notification_fields
from app.payments.states import SubStatus
from app.providers.contract import ProviderAccount, RawNotice
from app.providers.gateways.sandbox import GATEWAY

FACTS = PaymentFacts(
    type_id=3,
    number=100_000_001,
    sub_status=SubStatus.DECLINED,
    amount=Money(150_000, "KZT"),
    real_amount=Money(150_000, "KZT"),
    site_id=101,
    site_login="mallory",
    customer_purse="411111...1111",
    external_id="order_1",
    provider_reference="77",
    message="Declined",
    group_id=1,
    payment_type_id=1,
    customer_ip="127.0.0.1",
    source_type=3,
    completed_at=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
)
# What stands between `processor_id` and the end of the string in a message that says "paid", and a name that
# takes in what really follows.
FORGED = "77;real_amount:150000;real_currency:KZT;site_id:101;site_login:mallory;status_id:4;type_id:3;z:"
SALT = "a-salt-that-the-provider-does-not-know"


def test_a_providers_number_cannot_hold_another_message() -> None:
    body = f'{{"notice_id":"n","reference":"att_1","status":"declined","id":"{FORGED}"}}'.encode()
    account = ProviderAccount(101, "main", "sandbox", "https://pay.example.com", "", credentials={})
    [report] = GATEWAY.parse(account, RawNotice("/notices/101/main", {}, body))
    told_as = report.result.provider_reference or ""  # the gateway takes it: 128 printable characters
    fields = notification_fields(replace(FACTS, provider_reference=told_as), extended=True)
    text = signing.signed_string(fields)
    head, _, rest = text.partition("z:")
    another = dict(pair.split(":", 1) for pair in head.strip(";").split(";"))
    another["z"] = rest.removesuffix(";")
    is_forged = another.get("status_id") == "4" and fields["status_id"] == 6
    assert not (is_forged and signing.sign(another, SALT) == signing.sign(fields, SALT)), (
        f"the signature of a decline is also that of {another}"
    )
