"""Minimal valid views, to be varied with `dataclasses.replace`."""

from app.cashier import MethodsView, PaymentView, Tile
from app.kernel.money import Money


def tenge(whole: int) -> Money:
    return Money(whole * 100, "KZT")


CARD = Tile(
    "card", "Bank card", "1", "card", tenge(500), tenge(500_000), (tenge(500), tenge(1500), tenge(5000))
)
QR = Tile("qr", "QR payment", "602", "qr", tenge(300), tenge(2000), (tenge(300), tenge(600)))

METHODS = MethodsView(
    site_id=7,
    site_name="Altyn Games",
    language="en",
    currency="KZT",
    exponent=2,
    key="the-secret-key",
    form_token="form-token-1",
    tiles=(CARD, QR),
)

PAYMENT = PaymentView(
    site_id=7,
    site_name="Altyn Games",
    language="en",
    reference="10402771",
    method="card",
    method_title="Bank card",
    amount=tenge(1500),
    reason="checking",
    status_url="/cashier/payment/view-token/status",
    page_url="/cashier/payment/view-token",
    languages=("en", "ru", "kk"),
)
