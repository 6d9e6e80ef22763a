"""The oracle's free rounds and wins that wait for a person: what the contract says of them, and no more."""

from dataclasses import dataclass, field
from typing import Protocol

from tests.wallet.answers import Operation, Round, Wallet
from tests.wallet.wishes import No, Policy, Wish

__all__ = ["Favours", "Grant", "HeldWin", "spin", "take_out", "win_free", "with_win"]


@dataclass
class Grant:
    """A player's part in a campaign. `most` is what it may win in all, 0: anything.

    `cancelled` is when, counted in the events of a story; `won` has what was won, `paid` what was credited.
    """

    provider: str
    game: str
    spins: int
    most: int = 0
    used: int = 0
    won: int = 0
    paid: int = 0
    is_over: bool = False
    cancelled: int | None = None

    @property
    def has_won_too_much(self) -> bool:
        return 0 < self.most < max(self.won, self.paid)


@dataclass
class HeldWin:
    player: str
    currency: str
    win: str
    minor: int
    operation: Operation = field(repr=False, compare=False)


class Favours(Protocol):
    """What the oracle knows of them; `adopt` is its own."""

    policy: Policy
    wallets: dict[tuple[str, str], Wallet]
    grants: dict[tuple[str, str, str], Grant]
    held: list[HeldWin]
    taken: list[HeldWin]
    rounds: dict[tuple[str, str, str, str], Round]
    sessions: dict[str, str]
    opened: dict[str, int]
    played: dict[str, str]
    events: int

    def adopt(self, player: str, currency: str, cash: int = 0, bonus: int = 0) -> None: ...

    def _round(self, wish: Wish) -> tuple[str, str, str, str]: ...

    def grant(self, player: str, currency: str, campaign: str, grant: Grant) -> None:
        """Once for each campaign and player."""
        self.grants.setdefault((player, currency, campaign), grant)

    def launch(self, player: str, session: str, game: str = "aviator") -> None:
        self.events += 1
        self.sessions[session], self.opened[session] = player, self.events
        self.played[session] = game

    def cancel(self, campaign: str) -> None:
        """No spin is taken any more, but in sessions that are open."""
        self.events += 1
        for (_, _, name), grant in self.grants.items():
            if name == campaign and grant.cancelled is None:
                grant.cancelled = self.events

    def decide_held(self, win: HeldWin, *, released: bool) -> None:
        """A person has looked: it is the player's, or the house's."""
        self.held.remove(win)
        wallet = self.wallets[win.player, win.currency]
        wallet.held -= win.minor
        if released:
            self.adopt(win.player, win.currency, cash=win.minor)
            return
        # It comes back and is taken: two operations, and nobody can play or be paid with it in between.
        wallet.sequence += 2
        self.taken.append(win)
        self._take(win.operation, win.minor)

    def _take(self, won: Operation, minor: int) -> None:
        """What a person took of a win was not won; its platform may take what is left of it, if anything."""
        assert won.wish is not None
        won.taken = minor
        won.reversed = won.wish.kind == "win" and minor == won.cash_part + won.bonus_part
        if won.wish.kind == "betwin" or won.wish.win_kind == "win":
            self.rounds[self._round(won.wish)].wins -= minor
        take_some_out(self._granted(won), won, minor)

    def _granted(self, operation: Operation) -> Grant | None:
        """The player's part in the campaign that an operation is about, where the house counts."""
        if operation.free is None or self.policy.free_rounds == "platform":
            return None
        assert operation.wish is not None
        return self.grants.get((operation.wish.player, operation.currency or "", operation.free))

    def _hold(self, wallet: Wallet, operation: Operation) -> None:
        """What was won over a cap is set aside, in an operation that has the next number."""
        grant = self._granted(operation)
        is_over = operation.won > (self.policy.max_win or operation.won)
        is_over |= grant is not None and grant.has_won_too_much
        if not is_over or not operation.won_cash:
            return
        assert operation.wish is not None
        win = HeldWin(
            operation.wish.player,
            operation.currency or "",
            operation.wish.id or "",
            operation.won_cash,
            operation,
        )
        self.held.append(win)
        wallet.cash -= win.minor
        wallet.held += win.minor
        wallet.sequence += 1

    def _collect(self, wallet: Wallet) -> None:
        """Who owes keeps no cash: what comes in pays first, in an operation that has the next number."""
        paid = min(wallet.cash, wallet.debt)
        wallet.cash -= paid
        wallet.debt -= paid
        wallet.sequence += int(paid > 0)


def spin(grant: Grant | None, wish: Wish, opened: int | None) -> None:
    """Take a spin, or refuse it.

    Args:
        grant: of the campaign that the bet names; None: nothing was granted.
        wish: the bet.
        opened: when its session was launched; None: it names none.
    """
    if grant is None or grant.provider != wish.provider or grant.game not in {"", wish.game}:
        raise No("VALIDATION", "freeRoundId")
    is_cancelled = grant.cancelled is not None and (opened is None or opened > grant.cancelled)
    if grant.used >= grant.spins or grant.is_over or is_cancelled:
        raise No("LIMIT_EXCEEDED", stored=True, limit="spins")
    grant.used += 1


def with_win(operation: Operation, grant: Grant | None, policy: Policy, free: str | None) -> bool:
    """Count what a spin has won; whether it is credited by itself."""
    operation.free = free
    is_credited = free is None or policy.free_wins == "each"
    if grant is not None:
        operation.counted = operation.won
        operation.paid = operation.won if is_credited else 0
        _add(grant, operation)
    return is_credited


def win_free(operation: Operation, grant: Grant | None, wish: Wish, policy: Policy) -> None:
    """A platform's win of kind free_round: always credited; what it pays together was counted before."""
    operation.free = wish.free
    if policy.free_rounds == "platform":
        return
    if grant is None or grant.provider != wish.provider:
        raise No("VALIDATION", "freeRoundId")
    amount = operation.paid = wish.amount or 0
    operation.counted = amount
    if policy.free_wins == "together":
        operation.counted = 0
    _add(grant, operation)


def take_out(grant: Grant | None, win: Operation) -> None:
    """A win that is taken back was not won, and was not paid."""
    if grant is None:
        return
    grant.won -= win.counted
    grant.paid -= win.paid


def take_some_out(grant: Grant | None, win: Operation, minor: int) -> None:
    """A part of a win that is taken was not won, and was not paid; what is left of it is."""
    counted, paid = min(minor, win.counted), min(minor, win.paid)
    win.counted -= counted
    win.paid -= paid
    if grant is not None:
        grant.won -= counted
        grant.paid -= paid


def _add(grant: Grant, operation: Operation) -> None:
    grant.won += operation.counted
    grant.paid += operation.paid
