"""What a wallet request says, read by the rules of the contract: the oracle's own reading."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Literal

__all__ = [
    "DECIMALS",
    "LISTED",
    "MOST",
    "NOWHERE",
    "Kind",
    "No",
    "Policy",
    "Wish",
    "read",
    "refuse_above",
    "refuse_another",
    "refuse_barred",
]

Kind = Literal["deposit", "withdraw", "bet", "win", "betwin", "rollback"]
Body = Mapping[str, Any]
MOST: Final = 10**15
# The currencies of the tests and their decimals; "XQQ", "kzt" and "" are none at all.
DECIMALS: Final = {"KZT": 2, "USD": 2, "EUR": 2, "JPY": 0, "BHD": 3}
# The one game of the catalogue: its platform and its code.
LISTED: Final = ("acme", "aviator")
# A field that nobody promised to name: the comparison leaves it out.
NOWHERE: Final = ""


@dataclass
class No(Exception):
    """A refusal; `stored` ones are kept and replayed for ever."""

    code: str
    field: str | None = None
    stored: bool = False
    limit: str | None = None


@dataclass(frozen=True)
class Policy:
    """What a site or a platform decides."""

    id_scope: Literal["site", "player", "provider", "round"] = "site"
    amount_unit: Literal["minor", "major"] = "minor"
    legacy_transfers: bool = False
    max_transfer: int | None = None
    max_balance: int | None = None
    max_bet: int | None = None
    max_win: int | None = None
    withdraw_while_round_open: bool = True
    session_required: bool = False
    stake_order: Literal["cash_first", "bonus_first"] = "cash_first"
    one_bet_per_round: bool = False
    reverse_wins: bool = False
    short_reversal: Literal["debt", "refuse"] = "debt"
    prepaid_float: bool = False
    free_rounds: Literal["house", "platform"] = "house"
    free_wins: Literal["each", "together"] = "each"
    session_games: Literal["own", "platform"] = "own"
    zero_stakes: bool = False
    listed_games_only: bool = False
    rollback_amount: Literal["ignore", "refuse"] = "ignore"


@dataclass(frozen=True)
class Wish:
    """One operation as asked for."""

    kind: Kind
    id: str | None
    player: str
    currency: str | None = None
    amount: int | None = None
    win: int | None = None
    everything: bool = False
    round: str | None = None
    provider: str | None = None
    game: str | None = None
    reference: str | None = None
    win_kind: str | None = None
    free: str | None = None
    session: str | None = None
    finished: bool = False
    # Of a rollback: the amount that it names, whatever that is.
    stated: object = None

    @property
    def fingerprint(self) -> tuple[object, ...]:
        amount = "all" if self.everything else self.amount
        money = (self.kind, self.player, self.currency, amount, self.win)
        # A rollback need not say where its bet was.
        provider = None if self.kind == "rollback" else self.provider
        return (*money, self.round, self.game, provider, self.reference, self.win_kind, self.free)

    @property
    def name(self) -> str | None:
        """A rollback that bears its bet's id is an operation of its own."""
        return f"rollback of {self.id}" if self.kind == "rollback" and self.id == self.reference else self.id

    @property
    def source(self) -> str:
        return "operator" if self.kind in {"deposit", "withdraw"} else "game"

    def scope(self, policy: Policy) -> str:
        """What narrows where a game's ids are unique; an operator's are unique at the site."""
        if self.source == "operator":
            return ""
        round_id = f"{self.player}/{self.round}"
        scopes = {"site": "", "player": self.player, "provider": self.provider or "", "round": round_id}
        return scopes[policy.id_scope]


def read(kind: Kind, body: object, policy: Policy, header: str | None = None) -> Wish:
    """The wish of a body, or the refusal of one that cannot be one."""
    if not isinstance(body, Mapping):
        raise No("VALIDATION", NOWHERE)
    if kind in {"deposit", "withdraw"}:
        return _transfer(kind, body, policy, header)
    player = _text(body, "playerExternalId") or ""
    needed = kind != "rollback" or policy.id_scope == "provider"
    provider = _text(body, "providerId", needed=needed)
    wish = Wish(kind, _text(body, "transactionId"), player, provider=provider)
    if kind == "rollback":
        round_id = _text(body, "roundId", needed=policy.id_scope == "round")
        return replace(wish, reference=_text(body, "referenceId"), round=round_id, stated=body.get("amount"))
    win_kind = _win_kind(body) if kind == "win" else None
    apart = win_kind in {"jackpot", "promo", "free_round"}
    return replace(
        wish,
        currency=_currency(body),
        round=_text(body, "roundId", needed=not apart),
        game=_text(body, "gameCode"),
        reference=_text(body, "referenceId", needed=not apart) if kind == "win" else None,
        win_kind=win_kind,
        free=_text(body, "freeRoundId", needed=win_kind == "free_round"),
        session=_text(body, "sessionId", needed=False),
        finished=_flag(body, "isRoundFinished"),
        amount=_stake(kind, body, policy),
        win=_amount(body, "winAmount", 0, MOST, policy) if kind == "betwin" else None,
    )


def _stake(kind: Kind, body: Body, policy: Policy) -> int:
    if kind == "win":
        return _amount(body, "amount", 0, MOST, policy)
    name = "amount" if kind == "bet" else "betAmount"
    # A stake of nothing can be read; whether it may be is said of an id that was not used before.
    return _amount(body, name, 0, 0 if "freeRoundId" in body else MOST, policy)


def _transfer(kind: Kind, body: Body, policy: Policy, header: str | None) -> Wish:
    player, currency = _text(body, "playerExternalId") or "", _currency(body)
    everything = kind == "withdraw" and _flag(body, "all")
    if everything and "amount" in body:
        raise No("VALIDATION", NOWHERE)
    if kind == "withdraw" and not everything and "amount" not in body:
        raise No("VALIDATION", NOWHERE)
    amount = None if everything else _amount(body, "amount", 1, MOST, policy)
    transfer = _text(body, "transferId", needed=False)
    if transfer is None and header is not None:
        transfer = _text({"transferId": header}, "transferId")
    if transfer is None and not policy.legacy_transfers:
        raise No("TRANSFER_ID_REQUIRED")
    return Wish(kind, transfer, player, currency, amount, everything=everything)


def _text(body: Body, name: str, *, needed: bool = True) -> str | None:
    if name not in body:
        if needed:
            raise No("VALIDATION", name)
        return None
    value = body[name]
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        raise No("VALIDATION", name)
    if not value.strip():
        raise No("VALIDATION", name)
    # Cc: control characters; Cs: half a character, which no database keeps.
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in value):
        raise No("VALIDATION", name)
    return value


def _currency(body: Body) -> str:
    value = body.get("currency")
    if not isinstance(value, str) or value not in DECIMALS:
        raise No("VALIDATION", "currency")
    return value


def _flag(body: Body, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise No("VALIDATION", name)
    return value


def _win_kind(body: Body) -> str:
    value = body.get("kind", "win")
    if value not in {"win", "jackpot", "promo", "free_round"}:
        raise No("VALIDATION", "kind")
    return str(value)


def _amount(body: Body, name: str, least: int, most: int, policy: Policy) -> int:
    value = body.get(name)
    if policy.amount_unit == "major" and type(value) in {int, float, Decimal}:
        written = Decimal(str(value)).scaleb(DECIMALS[_currency(body)])
        if "e" in str(value).lower() or written != written.to_integral_value():
            raise No("VALIDATION", name)
        value = int(written)
    if type(value) is not int or not least <= value <= most:
        raise No("VALIDATION", name)
    return value


def refuse_above(amount: int, limit: int | None, name: str) -> None:
    """Refuse more than the site allows, or than anybody may."""
    if amount > min(limit or MOST, MOST):
        raise No("LIMIT_EXCEEDED", stored=True, limit=name if limit and limit <= MOST else "largest_amount")


def refuse_barred(wish: Wish, policy: Policy, *, is_seamless: bool) -> None:
    """Refuse what the site does not offer now: said of an id that was not used before."""
    if is_seamless and wish.kind not in {"win", "rollback"}:
        raise No("WRONG_WALLET_MODE")
    if wish.kind not in {"bet", "betwin"}:
        return
    if policy.listed_games_only and (wish.provider, wish.game) != LISTED:
        raise No("VALIDATION", "gameCode")
    # A stake of nothing, but for free rounds and where the platform may.
    if not (wish.amount or wish.free or policy.zero_stakes):
        raise No("VALIDATION", "amount" if wish.kind == "bet" else "betAmount")


def refuse_another(wish: Wish, applied: bool, amount: int | None, policy: Policy) -> None:
    """Refuse a rollback that states another amount than what it takes back, where that is decided."""
    if applied and policy.rollback_amount == "refuse" and wish.stated not in {None, amount}:
        raise No("VALIDATION", "amount")
