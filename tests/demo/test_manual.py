"""What docs/connect.md says of withdrawals is what the code does."""

import json
import re
from typing import Any

from app.callouts.model import read_request_payout
from app.demo import merchant
from app.demo.merchant_books import FAILURES, PARTIAL_SUCCESS, SUCCESS
from app.kernel import signing
from app.payments.contract import status_id
from app.payments.states import FINAL, NEXT, Kind
from tests.conftest import ROOT

MANUAL = (ROOT / "docs/connect.md").read_text()


def section(title: str) -> str:
    """The text below one title, up to the next."""
    [_, behind] = MANUAL.split(f" {title}\n", 1)
    return re.split(r"^#+ ", behind, maxsplit=1, flags=re.MULTILINE)[0]


def messages(text: str) -> list[dict[str, Any]]:
    """The JSON objects that a section shows."""
    found = "".join(re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    return [json.loads(part) for part in re.findall(r"^\{.*?\}$", found, re.DOTALL | re.MULTILINE)]


def test_the_question_is_signed_and_the_answers_are_understood() -> None:
    question, *answers = messages(section("May this player withdraw? (`request_payout`)"))
    assert question.pop("signature") == signing.sign(question, "test_salt")
    assert [read_request_payout(200, json.dumps(answer).encode()).state for answer in answers] == [
        "accepted",
        "no_funds",
        "refused",
    ]


def test_the_initiation_is_one_and_its_table_names_every_field() -> None:
    text = section("Pay it (payout initiation)")
    initiation, answer = messages(text)
    found = signing.read(signing.PAYOUT_INITIATION, initiation.items())
    assert signing.matches(found, found["signature"], ["test_salt"]) == 0
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", text, re.MULTILINE))))
    assert named == signing.PAYOUT_INITIATION.fields().keys() - {"signature"}
    assert len(answer["order_id"]) == 30


def test_every_way_a_withdrawal_ends_is_told() -> None:
    told = {
        int(code)
        for code in re.findall(r"^\| (\d+) \|", section("What became of a withdrawal"), re.MULTILINE)
    }
    ends = {status_id(state) for state in NEXT[Kind.PAYOUT] if state in FINAL}
    assert told == ends | {PARTIAL_SUCCESS}
    assert told <= FAILURES | {SUCCESS, PARTIAL_SUCCESS}, "the demo shop acts on each of them"


def test_every_manner_of_the_demo_shop_is_named() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`: [^|]*\| (.*) \|$", section("Trying it"), re.MULTILINE))
    for part, manners in (
        ("callout", merchant.CalloutManner),
        ("payout", merchant.PayoutManner),
        ("approval", merchant.ApprovalManner),
        ("initiation", merchant.InitiationManner),
        ("webhook", merchant.WebhookManner),
    ):
        assert re.findall(r"`(\w+)`", rows[part]) == [manner.value for manner in manners]
