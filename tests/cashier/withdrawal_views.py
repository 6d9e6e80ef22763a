"""Minimal valid views of a withdrawal, to be varied with `dataclasses.replace`."""

from dataclasses import replace

from app.cashier.pages import Part, PaymentView, Tile
from app.cashier.withdrawal_pages import DestinationView, FieldView, KnownView, ReviewView, WithdrawView
from tests.cashier.views import PAYMENT, tenge

CARD_OUT = Tile("card", "Bank card", "1", "card", tenge(500), tenge(500_000), (tenge(500), tenge(4200)))
BANK_OUT = Tile("bank_transfer", "Bank transfer", "601", "bank", tenge(1000), tenge(500_000), (tenge(1000),))

TO_CARD = DestinationView(
    "card",
    (KnownView("ins_1", "*4242"), KnownView("ins_2", "*1111")),
    "ins_1",
    (FieldView("to_card_number", "card_number", "Card number"),),
)
TO_BANK = DestinationView(
    "bank_transfer",
    (),
    "",
    (
        FieldView("to_bank_transfer_iban", "iban", "Account number (IBAN)"),
        FieldView("to_bank_transfer_iin", "iin", "IIN of the account's holder"),
        FieldView("to_bank_transfer_name", "name", "Name of the account's holder"),
    ),
)

WITHDRAW = WithdrawView(
    site_id=7,
    site_name="Altyn Games",
    language="en",
    currency="KZT",
    exponent=2,
    key="the-secret-key",
    form_token="form-token-1",
    tiles=(CARD_OUT, BANK_OUT),
    destinations=(TO_CARD, TO_BANK),
    available=tenge(4200),
    languages=("en", "ru", "kk"),
)

REVIEW = ReviewView(
    site_id=7,
    site_name="Altyn Games",
    language="en",
    key="the-secret-key",
    form_token="form-token-1",
    method="card",
    amount=tenge(1500),
    chosen="ins_1",
    parts=(
        Part(tenge(1000), "card", "*4242", tenge(1800), tenge(800), tenge(0)),
        Part(tenge(500), "card", "*1111", None, None, tenge(500)),
    ),
    can_cancel=True,
    languages=("en", "ru", "kk"),
)

PAYOUT: PaymentView = replace(
    PAYMENT,
    kind="payout",
    reason="under_review",
    parts=(Part(tenge(1500), "card", "*4242"),),
    cancel_url="/cashier/payment/view-token/cancel?lang=en",
)
