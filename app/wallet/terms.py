"""The words of the wallet: types, codes, states, and the records that a decision is made of. Pure.

Amounts are minor units of the wallet's currency. What is asked is an `Ask`; what was decided is an
`Operation`, which is written once and never changed. `Wallet` and `Round` are the two things that an
operation changes.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from app.wallet.codes import Barred, Code, Why
from app.wallet.policy import (
    FreeRounds,
    FreeWins,
    OtherAmount,
    Policy,
    Scope,
    SessionGames,
    ShortReversal,
    StakeOrder,
    StuckRound,
)

__all__ = [
    "ID_LENGTH",
    "KEPT_SECONDS",
    "MOST_IN_A_BATCH",
    "MOST_SPINS",
    "SAME_ID",
    "SWEEPERS",
    "Ask",
    "Barred",
    "Code",
    "Decision",
    "Facts",
    "FreeRounds",
    "FreeWins",
    "Grant",
    "Kind",
    "Leg",
    "Operation",
    "OperationKey",
    "OtherAmount",
    "Policy",
    "Round",
    "RoundKey",
    "RoundState",
    "Scope",
    "SessionGames",
    "ShortReversal",
    "StakeOrder",
    "StuckRound",
    "Type",
    "Wallet",
    "Why",
    "of_same_id",
    "sent_as",
]

ID_LENGTH: Final = 128  # wallet.md 4
MOST_IN_A_BATCH: Final = 1000  # wallet.md 4
MOST_SPINS: Final = 1_000_000
# How long a process may know a token, a mode or a policy that is no more: long enough that thousands of calls
# a second read none of it; short enough for a revocation to matter.
KEPT_SECONDS: Final = 2
# What we take back ourselves, bets of stuck rounds and wins that a person takes, stands in the platforms'
# namespace, where a rollback of theirs finds it.
SWEEPERS: Final = "sweeper-"
# What a rollback that bears the very id of its bet is known by (rule 37).
SAME_ID: Final = "same-id-rollback-"


def of_same_id(key: str) -> str:
    """What a rollback is known by that bears this id, which stands for its bet."""
    named = f"{SAME_ID}{key}"
    if len(named) <= ID_LENGTH:
        return named
    return SAME_ID + hashlib.blake2b(key.encode(), digest_size=32).hexdigest()


def sent_as(key: str, reference: str | None) -> str:
    """An id as its caller wrote it."""
    return reference if reference is not None and key.startswith(SAME_ID) else key


class Type(StrEnum):
    """What an operation is."""

    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    BET = "bet"
    WIN = "win"
    BETWIN = "betwin"
    ROLLBACK = "rollback"
    REVERSE_WIN = "reverse_win"
    VOID = "void"
    # Money that another room moved on the same account, taken into the wallet's sequence.
    CASHIER = "cashier"
    BONUS = "bonus"
    # What is owed, collected from what has just come in.
    REPAYMENT = "repayment"
    # A win over a cap, set aside until a person has looked at it.
    HOLD = "hold"


class Kind(StrEnum):
    """Where a win comes from; all but WIN need no bet and leave rounds alone (rule 34)."""

    WIN = "win"
    JACKPOT = "jackpot"
    PROMO = "promo"
    FREE_ROUND = "free_round"


class RoundState(StrEnum):
    """A round is open until it is completed or cancelled; both are final (rule 55)."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class OperationKey(NamedTuple):
    """What makes an operation the same operation, for ever, within its site."""

    source: str
    within: str
    key: str


class RoundKey(NamedTuple):
    """Which round: of one wallet, by the platform's own id."""

    wallet_id: int
    provider: str
    round_id: str


@dataclass(slots=True)
class Ask:
    """One operation as it is asked for; validated, not yet decided.

    Args:
        type: what is asked; a rollback may turn out to be a reverse_win, which else a person asks for.
        source, key: the namespace and the caller's id in it.
        within: where the key is unique; empty: in all of the source.
        player: the site's own id of the player.
        currency: of the amount; empty for a rollback, which takes its operation's.
        amount: minor units; None: all there is (a withdrawal).
        win: minor units, of a bet and its win in one.
        reference: the caller's id of the operation this one is about.
        fingerprint: digest of the content: one key must have one.
        policy: what the site or platform has decided.
        stated: minor units that a rollback says it is about; below nothing: no amount at all.
        barred: what the site has decided against it since; a repeat is answered all the same.
    """

    type: Type
    source: str
    key: str
    player: str
    policy: Policy
    fingerprint: bytes
    request_id: str
    within: str = ""
    currency: str = ""
    amount: int | None = 0
    win: int = 0
    reference: str | None = None
    round_id: str | None = None
    provider: str = ""
    game: str | None = None
    session: str | None = None
    kind: Kind = Kind.WIN
    free_round: str | None = None
    is_finished: bool = False
    stated: int | None = None
    barred: Barred | None = None

    @property
    def operation_key(self) -> OperationKey:
        """What it is known by."""
        return OperationKey(self.source, self.within, self.key)

    @property
    def reference_key(self) -> OperationKey | None:
        """What the operation it is about is known by."""
        return None if self.reference is None else OperationKey(self.source, self.within, self.reference)


@dataclass(slots=True)
class Wallet:
    """A player's money in one currency, as found, then as each decision leaves it; who owes has no cash."""

    wallet_id: int
    player_id: str
    player: str
    currency: str
    is_blocked: bool
    sequence: int
    cash: int
    bonus: int
    cash_account_id: int
    bonus_account_id: int
    cash_version: int
    bonus_version: int
    debt: int = 0
    debt_account_id: int | None = None
    held_account_id: int | None = None

    @property
    def balance(self) -> int:
        """Cash and bonus."""
        return self.cash + self.bonus


@dataclass(slots=True)
class Round:
    """One round of a game, as each decision leaves it."""

    key: RoundKey
    game: str
    currency: str
    first_sequence: int
    last_sequence: int
    opened_at: datetime
    changed_at: datetime
    state: RoundState = RoundState.OPEN
    is_free: bool = True
    open_bets: int = 0
    bet: int = 0
    win: int = 0
    reversed: int = 0


@dataclass(slots=True)
class Grant:
    """Free rounds of one campaign for one wallet, as each decision leaves them; minor units.

    Args:
        provider, game: where they are played; an empty game: any of the platform's.
        spins, used: how many there are, and how many were taken; a spin rolled back is not.
        won: what was won, as far as it was told win by win.
        paid: what was credited.
        max_win: what they may win in all, beyond which it is held; 0: no limit.
        ends_at: from here on no spin is taken.
        cancelled_at: nor from here on, but in sessions that were open before.
    """

    campaign: str
    wallet_id: int
    provider: str
    game: str
    spins: int
    used: int
    won: int
    paid: int
    max_win: int
    ends_at: datetime
    cancelled_at: datetime | None

    @property
    def won_in_all(self) -> int:
        """What is held to the limit: a payment of wins together may be above the wins that were told."""
        return max(self.won, self.paid)

    def has_spin(self, at: datetime, session_since: datetime | None = None) -> bool:
        """Whether a spin may be taken (rules 60, 61).

        Args:
            at: this instant.
            session_since: when the session that it is taken in was opened; None: in no session.
        """
        if self.used >= self.spins or at >= self.ends_at:
            return False
        started = at if session_since is None else session_since
        return self.cancelled_at is None or started < self.cancelled_at


@dataclass(slots=True)
class Operation:
    """An operation as it was decided: what its answer says, now and in every replay.

    Args:
        code: what was answered.
        applied: it took the next sequence number of its wallet.
        cash, bonus: the parts of `amount`, not negative.
        before, after: cash and bonus together, around this operation alone.
        player_id: whose wallet it is; empty where it does not matter.
        is_reversed, is_settled: what later operations did to it, found by their references.
        taken: minor units of a win that a person took while they were held; the rest still stands.
    """

    operation_id: str
    key: OperationKey
    type: Type
    code: Code
    applied: bool
    fingerprint: bytes
    wallet_id: int | None
    currency: str
    amount: int
    win: int
    cash: int
    bonus: int
    before: int
    after: int
    sequence: int
    reference: str | None
    round_id: str | None
    provider: str
    game: str | None
    session: str | None
    detail: str | None
    request_id: str
    recorded_at: datetime
    player_id: str = ""
    is_reversed: bool = False
    is_settled: bool = False
    taken: int = 0


class Leg(StrEnum):
    """One part of what an operation moves; `rules` maps each to a declared movement of the ledger."""

    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    BET_CASH = "bet_cash"
    BET_BONUS = "bet_bonus"
    WIN_CASH = "win_cash"
    WIN_BONUS = "win_bonus"
    REFUND_CASH = "refund_cash"
    REFUND_BONUS = "refund_bonus"
    REVERSE_CASH = "reverse_cash"
    REVERSE_BONUS = "reverse_bonus"
    REVERSE_DEBT = "reverse_debt"
    REPAY_DEBT = "repay_debt"
    HOLD_WIN = "hold_win"
    GRANT_BONUS = "grant_bonus"


class Facts(NamedTuple):
    """What is known around one ask.

    Args:
        known: what its own key stands for already.
        reference: the operation it is about.
        is_tombstoned: a rollback named this bet (of a win or rollback: its bet) before it came.
        is_own_tombstoned: a rollback named this very operation before it came.
        round: the round it names, or its reference's.
        session_ok: the session it names lives and is this player's; False too when a required one is missing.
        session_game: the game that the session it names was launched with.
        round_open: this wallet has an open round; looked up for withdrawals that ask.
    """

    known: Operation | None = None
    reference: Operation | None = None
    is_tombstoned: bool = False
    is_own_tombstoned: bool = False
    round: Round | None = None
    session_ok: bool = True
    session_game: str | None = None
    round_open: bool = False


class Decision(NamedTuple):
    """What is to be answered and done.

    Args:
        code: the answer; OK for everything that moves money.
        stored: it is written, and repeated to whoever asks again.
        applied: it takes the next sequence number.
        amount: what it is about; of a rollback the bet's, of "all" what there was.
        legs: what moves, none of them zero; positive minor units, the leg says which way.
        field: the request's field that is wrong (VALIDATION).
        is_replay: answer as `Facts.known` says.
        turned: the type it turned out to be.
        spins: free rounds it takes, or gives back.
        free_win: what it adds to what was won by them.
        held: cash of a win over a cap, set aside at once.
        why: which limit, or what is in the way, where the code does not say it.
    """

    code: Code
    stored: bool = True
    applied: bool = False
    amount: int = 0
    legs: tuple[tuple[Leg, int], ...] = ()
    field: str = ""
    is_replay: bool = False
    turned: Type | None = None
    spins: int = 0
    free_win: int = 0
    held: int = 0
    why: Why | None = None
