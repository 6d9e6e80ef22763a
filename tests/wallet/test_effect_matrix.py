"""docs/wallet.md says what the code says: the effect matrix, the codes, the policies."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Final

import pytest

from app.wallet.contract import MEANINGS, effect_matrix
from app.wallet.examples import CALLS
from app.wallet.model import EFFECTS, Asked, Standing
from app.wallet.terms import Code, Policy
from tests.conftest import ROOT

DOCUMENT: Final = ROOT / "docs" / "wallet.md"
WRITE: Final = "CASHIER_WRITE_TRANSCRIPTS"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def effects() -> str:
    rows = effect_matrix()["rows"]
    return table(["", *Standing], ([asked, *row.values()] for asked, row in rows.items()))


def codes() -> str:
    rows = (
        (f"`{code}`", str(meaning.status), "yes" if meaning.final else "no", meaning.sentence)
        for code, meaning in MEANINGS.items()
    )
    return table(["code", "HTTP", "final", "meaning"], rows)


def policies() -> str:
    said = dict(_said())
    rows = (
        (f"`{policy.name}`", f"`{str(policy.default).lower()}`", _values(policy.default), said[policy.name])
        for policy in fields(Policy)
    )
    return table(["policy", "default", "or", "what it decides"], rows)


def _values(default: object) -> str:
    """What may be decided instead; the unit's other word stands in its sentence."""
    match default:
        case bool():
            others = [str(not default).lower()]
        case StrEnum():
            others = [value for value in type(default) if value is not default]
        case _:
            return "a number" if isinstance(default, int) else "`major`"
    return ", ".join(f"`{other}`" for other in others)


def _said() -> Iterator[tuple[str, str]]:
    """What the docstring says of each policy; several may share a sentence."""
    _, _, args = (Policy.__doc__ or "").partition("Args:")
    for line in re.split(r"\n {8}(?! )", args.rstrip())[1:]:
        names, _, sentence = line.strip().partition(": ")
        for name in names.split(", "):
            yield name, " ".join(sentence.split())


SECTIONS: Final = {"effect matrix": effects, "codes": codes, "policies": policies}


@pytest.mark.parametrize("name", SECTIONS)
def test_the_document_says_what_the_code_says(name: str) -> None:
    section = re.compile(rf"(?<=<!-- generated: {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    expected = f"\n{SECTIONS[name]()}\n\n"
    if os.environ.get(WRITE):
        DOCUMENT.write_text(section.sub(lambda _: expected, DOCUMENT.read_text(), count=1))
    assert section.findall(DOCUMENT.read_text()) == [expected], f"write it anew with {WRITE}=1"


def test_the_matrix_is_whole() -> None:
    rows = effect_matrix()["rows"]
    assert set(rows) == set(Asked)
    assert all(set(row) == set(Standing) for row in rows.values())
    assert {(asked, standing): EFFECTS[asked][standing] for asked in Asked for standing in Standing} == {
        (Asked(asked), Standing(standing)): effect
        for asked, row in rows.items()
        for standing, effect in row.items()
    }


def test_every_code_has_a_meaning_and_every_policy_a_sentence() -> None:
    assert set(MEANINGS) == set(Code)
    assert dict(_said()).keys() == {policy.name for policy in fields(Policy)}


def test_the_document_names_every_call() -> None:
    text = DOCUMENT.read_text()
    for call in CALLS:
        last = call.path.rstrip("}").rpartition("/")[2].strip("{")
        last = {"transfer_id": "transferId", "transaction_id": "transactionId", "reference": "id"}.get(
            last, last
        )
        assert last in text, call.path
