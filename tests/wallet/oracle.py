"""The wallet as a plain, slow, obviously right model, written from the contract alone."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from tests.wallet.answers import (
    GAME,
    SUCCESSES,
    TRANSFERS,
    Answer,
    Operation,
    Round,
    Wallet,
    envelope,
    refused,
    said,
    told,
)
from tests.wallet.batches import Batches, Body, Key
from tests.wallet.favours import Favours, Grant, HeldWin, spin, take_out, win_free, with_win
from tests.wallet.wishes import Kind, No, Policy, Wish, read, refuse_above, refuse_another, refuse_barred

__all__ = ["Oracle"]


@dataclass
class Oracle(Batches, Favours):
    """Every method takes a request's body and returns (HTTP status, envelope)."""

    policy: Policy = field(default_factory=Policy)
    players: dict[str, str] = field(default_factory=dict)
    wallets: dict[tuple[str, str], Wallet] = field(default_factory=dict)
    operations: dict[Key, Operation] = field(default_factory=dict)
    tombstones: set[Key] = field(default_factory=set)
    rounds: dict[tuple[str, str, str, str], Round] = field(default_factory=dict)
    # By player, currency and campaign.
    grants: dict[tuple[str, str, str], Grant] = field(default_factory=dict)
    held: list[HeldWin] = field(default_factory=list)
    taken: list[HeldWin] = field(default_factory=list)
    # What the operator has prepaid, by currency; below nothing: what it owes, where nothing need be prepaid.
    floats: Counter[str] = field(default_factory=Counter)
    # Session: its player while it lives, "" once it has ended; when it was opened, and for which game.
    sessions: dict[str, str] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)
    played: dict[str, str] = field(default_factory=dict)
    events: int = 0
    # The site keeps its players' balances itself by now.
    is_seamless: bool = False

    def create(self, player: str, *currencies: str) -> None:
        self.players.setdefault(player, "active")
        for currency in currencies:
            self.wallets.setdefault((player, currency), Wallet())

    @override
    def adopt(self, player: str, currency: str, cash: int = 0, bonus: int = 0) -> None:
        """What another room moved becomes an operation of the wallet before its next one."""
        wallet = self.wallets[player, currency]
        wallet.cash += cash
        wallet.bonus += bonus
        wallet.sequence += 1
        self._collect(wallet)

    def owe(self, player: str, currency: str, minor: int) -> None:
        """Another room has let the player owe something, when there was no cash."""
        self.wallets[player, currency].debt += minor

    def deposit(self, body: object, key: str | None = None) -> Answer:
        return self._answered("deposit", body, key)

    def withdraw(self, body: object, key: str | None = None) -> Answer:
        return self._answered("withdraw", body, key)

    def game(self, kind: Kind, body: object) -> Answer:
        return self._answered(kind, body)

    def void(self, transfer: str) -> Answer:
        key = ("operator", "", transfer)
        known = self.operations.get(key)
        if known is not None and known.wish is not None:
            if known.code in SUCCESSES:
                return refused("TRANSFER_COMPLETED")
            return envelope("OK", transferId=transfer, status="refused")
        self.operations.setdefault(key, Operation(None, "VOIDED", applied=False))
        return envelope("OK", transferId=transfer, status="voided", duplicate=known is not None)

    def wallet_batch(self, body: Body) -> Answer:
        return self._batch(body, TRANSFERS)

    def game_batch(self, body: Body) -> Answer:
        return self._batch(body, GAME)

    def balance(self, player: str, currency: str) -> Answer:
        wallet = self.wallets[player, currency]
        owed = said(
            self.policy, currency, {"debt": wallet.debt, "withdrawable": wallet.cash, "held": wallet.held}
        )
        return envelope("OK", currency=currency, **self._now(player, currency), **owed)

    def round(self, player: str, currency: str, provider: str, round_id: str) -> Answer:
        found = self.rounds.get((player, currency, provider, round_id))
        if found is None:
            return refused("TRANSACTION_NOT_FOUND")
        bets, wins = sum(bet.amount or 0 for bet in found.bets), found.wins
        if found.noted:
            return envelope("OK", state=found.state, **said(self.policy, currency, {"bet": bets}))
        sums = {"bet": bets, "win": wins, "reversed": found.reversed, "net": wins - bets + found.reversed}
        return envelope("OK", state=found.state, **said(self.policy, currency, sums))

    def listed(self, player: str, currency: str, *, include_refused: bool = False) -> list[Operation]:
        """A wallet's operations in the order in which they happened."""
        return [
            found
            for found in self.operations.values()
            if found.wish is not None
            and (found.wish.player, found.currency) == (player, currency)
            and (include_refused or found.code in SUCCESSES)
        ]

    def carry_out(self, wish: Wish) -> Answer:
        try:
            return self._do(wish)
        except No as no:
            return refused(no.code, no.field)

    def _answered(self, kind: Kind, body: object, header: str | None = None) -> Answer:
        try:
            wish = read(kind, body, self.policy, header)
        except No as no:
            return self.unread(kind, no, no.field)
        return self.carry_out(wish)

    @override
    def _do(self, wish: Wish) -> Answer:
        key = self._key(wish, wish.name or f"made here: {len(self.operations)}")
        known = self.operations.get(key)
        if known is not None:
            if known.wish is None:
                raise No("VOIDED")
            if known.wish.fingerprint != wish.fingerprint:
                raise No("ID_CONFLICT")
            return self._tell(known, duplicate=True)
        refuse_barred(wish, self.policy, is_seamless=self.is_seamless)
        if wish.player not in self.players:
            raise No("PLAYER_NOT_FOUND")
        if wish.currency is not None and (wish.player, wish.currency) not in self.wallets:
            raise No("CURRENCY_MISMATCH")
        operation = Operation(wish, amount=wish.amount, currency=self._currency(wish))
        operation.before = self._wallet(operation).total
        deeds: dict[Kind, Callable[[Operation, Wish], None]] = {
            "deposit": self._deposit,
            "withdraw": self._withdraw,
            "bet": self._bet,
            "win": self._win,
            "betwin": self._betwin,
            "rollback": self._rollback,
        }
        try:
            if wish.kind != "rollback" and key in self.tombstones:
                raise No("ROLLED_BACK", stored=True)
            deeds[wish.kind](operation, wish)
        except No as no:
            if not no.stored:
                raise
            operation.code, operation.applied, operation.limit = no.code, False, no.limit
        wallet = self._wallet(operation)
        wallet.sequence += int(operation.applied)
        operation.after, operation.sequence = wallet.total, wallet.sequence
        self.operations[key] = operation
        self._hold(wallet, operation)
        self._collect(wallet)
        return self._tell(operation, duplicate=False)

    def _deposit(self, operation: Operation, wish: Wish) -> None:
        wallet, amount = self._wallet(operation), wish.amount or 0
        self._refuse_blocked(wish)
        refuse_above(amount, self.policy.max_transfer, "max_transfer")
        refuse_above(wallet.total + amount, self.policy.max_balance, "max_balance")
        if self.policy.prepaid_float and amount > self.floats[wish.currency or ""]:
            raise No("LIMIT_EXCEEDED", stored=True, limit="prepaid_float")
        self.floats[wish.currency or ""] -= amount
        wallet.cash += amount
        operation.cash_part = amount

    def _withdraw(self, operation: Operation, wish: Wish) -> None:
        wallet = self._wallet(operation)
        mine = [found for key, found in self.rounds.items() if key[:2] == (wish.player, wish.currency)]
        if not self.policy.withdraw_while_round_open and any(found.state == "open" for found in mine):
            raise No("IN_PROGRESS")
        self._refuse_blocked(wish)
        if wish.everything:
            operation.amount = wallet.cash
            operation.applied = wallet.cash > 0
            refuse_above(wallet.cash, None, "")
        amount = operation.amount or 0
        if amount > wallet.cash:
            raise No("INSUFFICIENT_FUNDS", stored=True)
        self.floats[wish.currency or ""] += amount
        wallet.cash -= amount
        operation.cash_part = amount

    def _bet(self, operation: Operation, wish: Wish) -> None:
        wallet, amount = self._wallet(operation), wish.amount or 0
        found = self.rounds.get(self._round(wish), Round())
        if found.state != "open" or (self.policy.one_bet_per_round and found.bets):
            raise No("ROUND_CLOSED", stored=True)
        asked = wish.session is not None or self.policy.session_required
        if asked and self.sessions.get(wish.session or "") != wish.player:
            raise No("SESSION_EXPIRED", stored=True)
        if self.policy.session_games == "own" and self.played.get(wish.session or "", wish.game) != wish.game:
            raise No("VALIDATION", "gameCode")
        self._refuse_blocked(wish)
        refuse_above(amount, self.policy.max_bet, "max_bet")
        if amount > wallet.total:
            raise No("INSUFFICIENT_FUNDS", stored=True)
        operation.free = wish.free
        if wish.free is not None and self.policy.free_rounds == "house":
            spin(self._granted(operation), wish, self.opened.get(wish.session or ""))
        if self.policy.stake_order == "cash_first":
            operation.cash_part = min(wallet.cash, amount)
        else:
            operation.cash_part = amount - min(wallet.bonus, amount)
        operation.bonus_part = amount - operation.cash_part
        wallet.cash -= operation.cash_part
        wallet.bonus -= operation.bonus_part
        found.bets.append(operation)
        found.state = "completed" if wish.finished else found.state
        self.rounds[self._round(wish)] = found

    def _betwin(self, operation: Operation, wish: Wish) -> None:
        self._bet(operation, wish)
        operation.settled = True
        operation.won = wish.win or 0
        if with_win(operation, self._granted(operation), self.policy, wish.free):
            bonus = self._credit(self._wallet(operation), operation, operation.won)
            operation.won_cash = operation.won - bonus
        self.rounds[self._round(wish)].wins += wish.win or 0

    def _credit(self, wallet: Wallet, bet: Operation, amount: int) -> int:
        """Split a win as the bet's stake was split; returns the bonus part."""
        bonus = amount * bet.bonus_part // bet.amount if bet.amount else 0
        wallet.bonus += bonus
        wallet.cash += amount - bonus
        return bonus

    def _win(self, operation: Operation, wish: Wish) -> None:
        wallet, amount = self._wallet(operation), wish.amount or 0
        if wish.win_kind == "free_round":
            operation.free = wish.free
            win_free(operation, self._granted(operation), wish, self.policy)
        if wish.win_kind != "win":
            operation.cash_part = operation.won = operation.won_cash = amount
            wallet.cash += amount
            noted = self.rounds.get(self._round(wish))
            if noted is not None:
                noted.noted = True
            return
        bet = self._bet_of(wish)
        assert bet.wish is not None
        found = self.rounds[self._round(bet.wish)]
        if found.state != "open":
            raise No("ROUND_CLOSED", stored=True)
        operation.won, operation.free = amount, bet.free
        # Its bet says whether it is a spin's, whatever the win itself says.
        if with_win(operation, self._granted(operation), self.policy, bet.free):
            operation.bonus_part = self._credit(wallet, bet, amount)
            operation.cash_part = operation.won_cash = amount - operation.bonus_part
        bet.settled = True
        found.wins += amount
        found.state = "completed" if wish.finished else found.state

    def _bet_of(self, wish: Wish) -> Operation:
        """The bet that a win names, in this order of refusals."""
        key = self._key(wish, wish.reference or "")
        bet = self.operations.get(key)
        if bet is None and key in self.tombstones:
            raise No("ROLLED_BACK", stored=True)
        if bet is None or bet.wish is None or bet.wish.kind not in {"bet", "betwin"}:
            raise No("BET_NOT_FOUND")
        if bet.wish.player != wish.player:
            raise No("BET_NOT_FOUND")
        if bet.reversed or key in self.tombstones:
            raise No("ROLLED_BACK", stored=True)
        if bet.code != "OK":
            raise No("BET_NOT_FOUND")
        if bet.currency != wish.currency:
            raise No("CURRENCY_MISMATCH")
        if bet.wish.round != wish.round:
            raise No("VALIDATION", "roundId")
        if bet.wish.provider != wish.provider:
            raise No("VALIDATION", "providerId")
        return bet

    def _rollback(self, operation: Operation, wish: Wish) -> None:
        # Of a rollback that moves nothing no amount is promised.
        operation.applied, operation.amount = False, None
        key = self._key(wish, wish.reference or "")
        other = self.operations.get(key)
        if other is None:
            again = key in self.tombstones
            operation.code = "ALREADY_ROLLED_BACK" if again else "NOTHING_TO_REVERSE"
            self.tombstones.add(key)
            return
        assert other.wish is not None
        elsewhere = wish.round not in {None, other.wish.round} or wish.provider not in {
            None,
            other.wish.provider,
        }
        if other.wish.player != wish.player or elsewhere:
            raise No("TRANSACTION_NOT_FOUND")
        refuse_another(wish, other.applied, other.amount, self.policy)
        if other.reversed or (other.wish.kind != "rollback" and key in self.tombstones):
            operation.code = "ALREADY_ROLLED_BACK"
            return
        if other.code not in SUCCESSES:
            raise No("PARENT_FAILED", stored=True)
        if other.wish.kind == "win" and self.policy.reverse_wins:
            self._reverse_win(operation, other)
            return
        found = self.rounds.get(self._round(other.wish), Round("completed"))
        if other.wish.kind != "bet" or other.settled or found.state == "completed":
            raise No("ALREADY_SETTLED", stored=True)
        wallet = self._wallet(operation)
        wallet.cash += other.cash_part
        wallet.bonus += other.bonus_part
        operation.cash_part, operation.bonus_part = other.cash_part, other.bonus_part
        operation.applied, operation.amount = True, other.amount
        other.reversed = True
        grant = self._granted(other)
        if grant is not None:
            grant.used -= 1
        found.reversed += other.amount or 0
        found.state = "cancelled" if all(bet.reversed for bet in found.bets) else found.state

    def _reverse_win(self, operation: Operation, win: Operation) -> None:
        wallet = self._wallet(operation)
        left = win.cash_part + win.bonus_part - win.taken
        from_bonus = min(win.bonus_part, wallet.bonus)
        # What is gone of the bonus is taken from cash.
        from_cash = min(left - from_bonus, wallet.cash)
        missing = left - from_cash - from_bonus
        operation.kind = "reverse_win"
        if missing and self.policy.short_reversal == "refuse":
            raise No("INSUFFICIENT_FUNDS", stored=True)
        wallet.cash -= from_cash
        wallet.bonus -= from_bonus
        wallet.debt += missing
        operation.cash_part, operation.bonus_part, operation.debt_part = from_cash, from_bonus, missing
        # What was only counted gave nothing.
        operation.applied, operation.amount = True, left
        win.reversed = True
        take_out(self._granted(win), win)
        if win.wish is not None and win.wish.win_kind == "win":
            self.rounds[self._round(win.wish)].wins -= (win.amount or 0) - win.taken

    def _tell(self, operation: Operation, *, duplicate: bool) -> Answer:
        assert operation.wish is not None
        data = told(operation, self.policy, duplicate=duplicate)
        if operation.currency is not None:
            data |= self._now(operation.wish.player, operation.currency)
        return envelope(operation.code, **data)

    @override
    def _now(self, player: str, currency: str) -> dict[str, Any]:
        wallet = self.wallets[player, currency]
        now = {"balance": wallet.total, "cash": wallet.cash, "bonus": wallet.bonus}
        return said(self.policy, currency, now)

    def _key(self, wish: Wish, name: str) -> Key:
        return (wish.source, wish.scope(self.policy), name)

    @override
    def _round(self, wish: Wish) -> tuple[str, str, str, str]:
        return (wish.player, wish.currency or "", wish.provider or "", wish.round or "")

    def _currency(self, wish: Wish) -> str | None:
        """The wallet of a rollback is that of what it reverses, or the player's only one."""
        if wish.currency is not None:
            return wish.currency
        other = self.operations.get(self._key(wish, wish.reference or ""))
        if other is not None and other.wish is not None and other.wish.player == wish.player:
            return other.currency
        mine = [currency for player, currency in self.wallets if player == wish.player]
        return mine[0] if len(mine) == 1 else None

    def _wallet(self, operation: Operation) -> Wallet:
        assert operation.wish is not None
        if operation.currency is None:
            return Wallet()
        return self.wallets[operation.wish.player, operation.currency]

    def _refuse_blocked(self, wish: Wish) -> None:
        if self.players[wish.player] != "active":
            raise No("PLAYER_BLOCKED", stored=True)
