"""Attack: card numbers written as people and programs write them, past the trip-wire and into the database."""

import pytest

from app.kernel import grammar
from app.kernel.masking import holds_card, mask_text

WRITTEN = {
    "full stops": "4111.1111.1111.1111",
    "underscores": "4111_1111_1111_1111",
    "slashes": "4111/1111/1111/1111",
    "middle dots": "4111\u00b71111\u00b71111\u00b71111",
    "thin spaces": "4111\u20091111\u20091111\u20091111",
    "zero-width spaces": "4111\u200b1111\u200b1111\u200b1111",
    "full-width digits": "".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_no_card_number_passes_the_strict_grammar(how: str) -> None:
    text = WRITTEN[how]
    kept = [name for name, kind in grammar.KEY_OBTAINING.fields().items() if kind.accepts(text)]
    kept += [name for name, kind in grammar.PAYOUT_INITIATION.fields().items() if kind.accepts(text)]
    assert not {"user_name", "comment", "customer_purse", "site_login"} & set(kept), f"stored as it is: {kept}"


@pytest.mark.parametrize("how", WRITTEN)
def test_no_card_number_is_logged(how: str) -> None:
    assert holds_card(WRITTEN[how])
    assert mask_text(WRITTEN[how]) != WRITTEN[how]
