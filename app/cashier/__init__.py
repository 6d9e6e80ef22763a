"""The page a player sees: choose how to pay, say how much, watch it happen.

Promises: every word in the player's language, every amount written as that language writes it, no inline
script, no key in a link, and a page that works without JavaScript. Owns templates, texts and the front end;
keeps no tables and decides nothing about money. Refuses: text that is not plainly one amount.
"""

from app.cashier.pages import (
    MethodsView,
    PaymentView,
    RefusalView,
    Tile,
    content_security_policy,
    read_amount,
    render_methods,
    render_payment,
    render_refusal,
    status_body,
)
from app.cashier.texts import LANGUAGES, Texts, choose_language, translator

__all__ = [
    "LANGUAGES",
    "MethodsView",
    "PaymentView",
    "RefusalView",
    "Texts",
    "Tile",
    "choose_language",
    "content_security_policy",
    "read_amount",
    "render_methods",
    "render_payment",
    "render_refusal",
    "status_body",
    "translator",
]
