"""docs/payments.md says what the code says: the table of contradictions."""

import os
from typing import Final

from app.payments.matrix import MATRIX, Arrival, Cell
from app.payments.model import Source
from tests.conftest import ROOT

DOCUMENT: Final = ROOT / "docs" / "payments.md"
WRITE: Final = "CASHIER_WRITE_TRANSCRIPTS"
BEGIN: Final = "<!-- generated: contradiction matrix -->\n\n"
END: Final = "\n<!-- end -->"


def written(cell: Cell) -> str:
    if cell.proof <= Source.ANSWER:
        return cell.effect.value
    settled = f" / {int(Source.SETTLEMENT)}: {cell.settled.value}" if cell.settled else ""
    return f"{cell.otherwise.value} / {int(cell.proof)}: {cell.effect.value}{settled}"


def matrix() -> str:
    lines = [["", *Arrival], ["---"] * (len(Arrival) + 1)]
    lines += [[standing, *(written(row[arrival]) for arrival in Arrival)] for standing, row in MATRIX.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def test_the_table_of_contradictions_is_the_codes() -> None:
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if os.environ.get(WRITE):
        DOCUMENT.write_text(f"{before}{BEGIN}{matrix()}{END}{after}")
        return
    assert shown == matrix(), f"run this test with {WRITE}=1"
