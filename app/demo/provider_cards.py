"""The sandbox provider's vault: tokens for cards and accounts, and the cards of players who do not exist.

No number is kept: a token proves itself by the signature in it, so that it still pays after a restart.
Tokens and fingerprints have letters only: nobody, and no filter, takes one for a card's number.
"""

import hmac
from dataclasses import dataclass, field
from typing import Any, Final

from app.kernel.masking import CardNumber

__all__ = ["Instrument", "instruments_of", "is_token", "kept_account", "kept_card"]

TEST_CARD: Final = "4242424242424242"
_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")
_OPEN_LENGTH, _SIGNED_LENGTH = 24, 12


@dataclass(frozen=True, slots=True)
class Instrument:
    """With what a player pays: of a card mask and fingerprint, of anything else the account itself."""

    method: str
    token: str = field(repr=False)
    masked: str = ""
    fingerprint: str = ""
    account: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what the API tells about it."""
        if self.account:
            return {"method": self.method, "account": self.account, "token": self.token}
        marks = {"masked": self.masked, "fingerprint": self.fingerprint}
        return {"method": self.method, **marks, "token": self.token}

    @property
    def name(self) -> str:
        """How people at the bank call it."""
        return f"{self.method} {self.masked or self.account}"


def kept_card(secret: str, number: CardNumber) -> Instrument:
    """Return a card as the merchant with this secret may know it: the same card is the same token."""
    token = _token(secret, f"card {number.reveal()}")
    fingerprint = f"fpr_{_letters(secret, f'seen {number.reveal()}')[:_OPEN_LENGTH]}"
    return Instrument("card", token, number.masked, fingerprint)


def kept_account(secret: str, method: str, account: str) -> Instrument:
    """Return an account, telephone or wallet as the merchant may know it."""
    return Instrument(method, _token(secret, f"{method} {account}"), account=account)


def is_token(secret: str, token: str) -> bool:
    """Tell whether a token was given to the merchant with this secret."""
    opened, signed = token[4 : 4 + _OPEN_LENGTH], token[4 + _OPEN_LENGTH :]
    return token.startswith("tok_") and hmac.compare_digest(
        signed.encode(), _letters(secret, f"token {opened}")[:_SIGNED_LENGTH].encode()
    )


def instruments_of(secret: str, method: str, player: str) -> tuple[Instrument, ...]:
    """Return with what a player can pay by a method; the first is used unless another is chosen.

    By card: the test card 4242, or a card of the player's own. By anything else: one account of the player.
    """
    number = int(_letters("player", f"{method} {player}").encode().hex(), 16)
    match method:
        case "card":
            return kept_card(secret, CardNumber(TEST_CARD)), kept_card(secret, _own_card(number))
        case "bank_transfer":
            return (kept_account(secret, method, _iban(f"125KZT{number % 10**10:010}")),)
        case "mobile_operator" | "mobile_app":
            return (kept_account(secret, "mobile_operator", f"+7701{number % 10**7:07}"),)
        case "e_wallet":
            return (kept_account(secret, method, f"W{number % 10**9:09}"),)
        case _:
            return ()


def _own_card(number: int) -> CardNumber:
    body = f"400000{number % 10**9:09}"
    for last in range(9):
        try:
            return CardNumber(f"{body}{last}")
        except ValueError:
            continue
    return CardNumber(f"{body}9")


def _iban(account: str) -> str:
    """Return a Kazakh IBAN with its check digits (ISO 7064, MOD 97-10)."""
    number = "".join(str(int(mark, 36)) for mark in f"{account}KZ00")
    return f"KZ{98 - int(number) % 97:02}{account}"


def _token(secret: str, of: str) -> str:
    opened = _letters(secret, of)[:_OPEN_LENGTH]
    return f"tok_{opened}{_letters(secret, f'token {opened}')[:_SIGNED_LENGTH]}"


def _letters(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex().translate(_LETTERS)
