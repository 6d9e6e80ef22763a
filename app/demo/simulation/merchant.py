"""A merchant with books of its own: those of the demo shop, which credit and debit a transaction once."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from app.demo import merchant_withdrawals
from app.demo.merchant_books import Books, Effect, Player, Refused, Webhook, Withdrawal
from app.demo.merchant_signatures import read_signed
from app.demo.simulation.chance import Chance
from app.demo.simulation.story import Timeline
from app.kernel.money import Money

__all__ = ["CURRENCY", "Merchant"]

CURRENCY: Final = "KZT"
SAYS_NO: Final = 0.04
IN, OUT = "order_", "out_"  # how its order numbers begin


@dataclass(slots=True)
class Merchant:
    """One site's server. `agreed` are withdrawals that it will initiate."""

    salt: str
    chance: Chance
    timeline: Timeline
    books: Books = field(default_factory=lambda: Books(players={}))
    refused: set[str] = field(default_factory=set)
    agreed: list[Withdrawal] = field(default_factory=list)
    heard: Counter[Effect] = field(default_factory=Counter)
    voids: dict[str, str] = field(default_factory=dict)  # their orders

    def enter(self, login: str) -> None:
        """Know a player."""
        if login not in self.books.players:
            self.books.players[login] = Player(login, login, "", "", "en", Money(0, CURRENCY))

    def answer(self, body: bytes, content_type: str) -> tuple[int, bytes]:
        """Answer a question, or hear a notification."""
        fields = read_signed(body, content_type=content_type, salt=self.salt)
        try:
            match fields.get("action"):
                case "check_deposit":
                    return self._said(self._deposit(fields))
                case "request_payout":
                    return self._said(self._payout(fields))
                case _:
                    return self._said(self._heard(fields))
        except merchant_withdrawals.NotEnough:
            return self._said({"code": 402, "error_description": "Not enough funds"})
        except Refused as refused:
            return self._said({"code": 500, "error_description": str(refused)})

    def moved(self) -> Counter[str]:
        """What each transaction did to its player's balance, in minor units.

        What came back of a withdrawal, undoes a deposit or credits it again is told under a number of its
        own, but names the order.
        """
        moved: Counter[str] = Counter()
        for line in self.books.movements:
            number, external_id = str(line["transaction_id"]), str(line["external_id"])
            if line["effect"] == Effect.RETURNED and external_id.startswith(OUT):
                number = external_id.removeprefix(OUT)
            elif external_id.startswith(IN) and (number in self.voids or line["effect"] == Effect.CREDITED):
                number = external_id.removeprefix(IN)
            moved[number] += int(line["amount_minor"])
        return moved

    def credited_twice(self) -> list[str]:
        """Orders under which a deposit was credited more than once, but for what was undone in between."""
        credited = Counter(
            str(line["external_id"]) for line in self.books.movements if line["effect"] == Effect.CREDITED
        )
        credited.subtract(self.voids.values())
        return [external_id.removeprefix(IN) for external_id, count in credited.items() if count > 1]

    def _deposit(self, fields: Mapping[str, str]) -> dict[str, object]:
        number = fields["transaction_id"]
        self._may_refuse(number)
        order = self.books.accept(
            transaction_id=number,
            login=fields["site_login"],
            amount=Money(int(fields["amount"]), fields["currency"]),
            external_id=f"{IN}{number}",
            now=self.timeline.clock.now(),
        )
        return {"code": 0, "external_id": order.external_id}

    def _payout(self, fields: Mapping[str, str]) -> dict[str, object]:
        number = fields["transaction_id"]
        self._may_refuse(number)
        wish = Withdrawal(
            f"{OUT}{number}",
            number,
            fields["site_login"],
            Money(int(fields["amount"]), fields["currency"]),
            fields.get("customer_purse", ""),
            "1",
            self.timeline.clock.now(),
        )
        asked = merchant_withdrawals.reserve(self.books, wish)
        if asked is wish:
            self.agreed.append(asked)
        return {"code": 50, "external_id": asked.external_id}

    def _heard(self, fields: Mapping[str, str]) -> dict[str, object]:
        webhook = Webhook(
            fields["transaction_id"],
            fields.get("external_id", ""),
            fields["site_login"],
            Money(int(fields["amount"]), fields["currency"]),
            int(fields["type_id"]),
            int(fields["status_id"]),
            Money(int(fields["real_amount"]), fields["real_currency"]),
        )
        if webhook.type_id == merchant_withdrawals.VOID:
            self.voids[webhook.transaction_id] = webhook.external_id
        now = self.timeline.clock.now()
        if merchant_withdrawals.about_withdrawal(self.books, webhook):
            effect = merchant_withdrawals.apply(self.books, webhook, now=now)
        else:
            effect = self.books.apply(webhook, now=now)
        self.heard[effect] += 1
        self.timeline.tell(webhook.transaction_id, f"merchant: hears {webhook.status_id}, {effect}")
        return {"code": 0}

    def _may_refuse(self, number: str) -> None:
        is_new = number not in self.books.by_transaction and number not in self.refused
        if number in self.refused or (is_new and self.chance.happens(SAYS_NO)):
            self.refused.add(number)
            raise Refused("not this time")

    @staticmethod
    def _said(content: Mapping[str, object]) -> tuple[int, bytes]:
        return 200, json.dumps(content).encode()
