"""How rounds change, each ended once, and how free ones are counted (wallet.md 2.5, 2.6). Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from app.wallet.terms import (
    Ask,
    Code,
    Decision,
    FreeRounds,
    FreeWins,
    Grant,
    Kind,
    Leg,
    Operation,
    OtherAmount,
    Policy,
    Round,
    RoundKey,
    RoundState,
    ShortReversal,
    StakeOrder,
    Type,
    Wallet,
    Why,
)

__all__ = [
    "belongs",
    "campaign_of",
    "capped",
    "count",
    "counted",
    "legs_of",
    "opened",
    "repeated",
    "staked",
    "states_another_amount",
    "take_part",
    "taken",
    "won_back",
    "won_by",
]

_FREE: Final = frozenset({Type.BET, Type.BETWIN, Type.WIN})
_PAID: Final = frozenset({Leg.WIN_CASH, Leg.WIN_BONUS})
_UNKNOWN: Final = Decision(Code.VALIDATION, stored=False, field="freeRoundId")


def staked(wallet: Wallet, amount: int, order: StakeOrder) -> tuple[int, int]:
    """The cash and the bonus part of a stake."""
    if order is StakeOrder.CASH_FIRST:
        cash = min(amount, wallet.cash)
        return cash, amount - cash
    bonus = min(amount, wallet.bonus)
    return amount - bonus, bonus


def won_by(amount: int, bet_bonus: int, bet: int) -> tuple[tuple[Leg, int], ...]:
    """A win split like the stake it belongs to; what rounding leaves over is cash (rule 36)."""
    bonus = amount * bet_bonus // bet if bet else 0
    return (Leg.WIN_CASH, amount - bonus), (Leg.WIN_BONUS, bonus)


def legs_of(*legs: tuple[Leg, int]) -> tuple[tuple[Leg, int], ...]:
    """Those that move anything."""
    return tuple([leg for leg in legs if leg[1]])  # faster than a generator


def won_back(policy: Policy, wallet: Wallet, won: Operation) -> Decision:
    """A win taken back as far as it is still there, lost bonus in cash; the rest is owed (rule 45)."""
    # What it gave (nothing, if it was only counted to be paid together), but for what a person took of it.
    amount = won.cash + won.bonus - won.taken
    bonus = min(won.bonus, wallet.bonus)
    cash = min(amount - bonus, wallet.cash)
    if (owed := amount - bonus - cash) and policy.short_reversal is ShortReversal.REFUSE:
        return Decision(Code.INSUFFICIENT_FUNDS, amount=amount, turned=Type.REVERSE_WIN)
    legs = legs_of((Leg.REVERSE_CASH, cash), (Leg.REVERSE_BONUS, bonus), (Leg.REVERSE_DEBT, owed))
    return Decision(Code.OK, applied=True, amount=amount, legs=legs, turned=Type.REVERSE_WIN)


def belongs(ask: Ask, wallet: Wallet, original: Operation) -> bool:
    """Whether player, round and platform are those of the operation named (rules 35, 50)."""
    same_round = ask.round_id in {None, original.round_id}
    return original.player_id == wallet.player_id and same_round and ask.provider in {"", original.provider}


def states_another_amount(ask: Ask, original: Operation) -> bool:
    """Whether a rollback states an amount that is not its operation's, where that counts (rule 48)."""
    return ask.policy.rollback_amount is OtherAmount.REFUSE and ask.stated not in {None, original.amount}


def opened(ask: Ask, wallet: Wallet, at: datetime) -> Round:
    """The round that a bet is the first of."""
    assert ask.round_id is not None, "a bet names its round"
    return Round(
        RoundKey(wallet.wallet_id, ask.provider, ask.round_id),
        ask.game or "",
        wallet.currency,
        first_sequence=wallet.sequence,
        last_sequence=wallet.sequence,
        opened_at=at,
        changed_at=at,
    )


def take_part(around: Round | None, ask: Ask, operation: Operation, reference: Operation | None) -> bool:
    """What an applied operation makes of the one it names and of its round; whether the round has changed.

    Args:
        around: the round it belongs to, opened already if it is a bet; changed in place.
        ask: what was asked.
        operation: as it was decided.
        reference: the operation that it names; changed in place.
    """
    match operation.type:
        case Type.BET | Type.BETWIN:
            assert around is not None, "a bet is part of a round"
            around.open_bets += 1
            around.bet += operation.amount
            around.win += operation.win
            around.is_free &= ask.free_round is not None
        case Type.WIN if ask.kind is Kind.WIN and reference is not None:
            reference.is_settled = True
            if around is not None:
                around.win += operation.amount
        case Type.ROLLBACK if reference is not None:
            reference.is_reversed = True
            if around is not None:
                _give_back(around, operation.amount)
        case Type.REVERSE_WIN if reference is not None:
            _take_back(around, ask, reference)
            if _is_apart(reference):
                return False
        case _:
            return False
    if around is not None and ask.is_finished and around.state is RoundState.OPEN:
        around.state = RoundState.COMPLETED
    return around is not None


def campaign_of(ask: Ask, reference: Operation | None) -> str | None:
    """The campaign that an ask is about: of a bet as it says itself, of a win as its bet did."""
    match ask.type:
        case Type.WIN if ask.kind is Kind.FREE_ROUND:
            return ask.free_round
        case Type.WIN if ask.kind is not Kind.WIN:
            # Won without free rounds, a jackpot, say, whatever it names beside (rule 34).
            return None
        case Type.WIN | Type.ROLLBACK | Type.REVERSE_WIN:
            return reference.detail if reference is not None and reference.type in _FREE else None
        case _:
            return ask.free_round


def counted(
    decision: Decision, ask: Ask, grant: Grant | None, reference: Operation | None, *, has_spin: bool
) -> Decision:
    """A decision about free rounds that the house keeps: what was not granted is refused (rules 54, 59, 60).

    Args:
        decision: as it is without them.
        ask: about a campaign, by `campaign_of`.
        grant: what the player was granted in it; None: nothing.
        reference: the operation that it names.
        has_spin: a spin may be taken now.
    """
    together = ask.policy.free_wins is FreeWins.TOGETHER
    if not decision.applied or ask.policy.free_rounds is FreeRounds.PLATFORM:
        return _believed(decision, ask) if together else decision
    match ask.type:
        case Type.BET | Type.BETWIN:
            if grant is None or grant.provider != ask.provider or grant.game not in {"", ask.game}:
                return _UNKNOWN
            if not has_spin:
                return Decision(Code.LIMIT_EXCEEDED, amount=decision.amount, why=Why.SPINS)
            legs = () if together else decision.legs
            return decision._replace(spins=1, free_win=ask.win, legs=legs)
        case Type.WIN if ask.kind is Kind.FREE_ROUND:
            if grant is None or grant.provider != ask.provider:
                return _UNKNOWN
            # Together: what it pays was won and counted before.
            return decision._replace(free_win=0 if together else decision.amount)
        case Type.WIN if ask.kind is Kind.WIN and grant is not None:
            return decision._replace(free_win=decision.amount, legs=() if together else decision.legs)
        case Type.ROLLBACK if decision.turned is None:
            return decision._replace(spins=-1)
        case Type.ROLLBACK | Type.REVERSE_WIN if reference is not None:
            # A payment of what was won together takes back what it paid alone: the spins have won it.
            is_payment = together and _is_apart(reference)
            return decision._replace(free_win=0 if is_payment else -_taken_out(ask, reference))
        case _:
            return decision


def taken(ask: Ask) -> Decision:
    """The decision about a win that a person takes while it is held: whatever was held goes.

    Args:
        ask: of type reverse_win; its amount is in cash again.
    """
    amount = ask.amount or 0
    legs = ((Leg.REVERSE_CASH, amount),)
    return Decision(Code.OK, applied=True, amount=amount, legs=legs, turned=Type.REVERSE_WIN)


def capped(decision: Decision, ask: Ask, grant: Grant | None) -> Decision:
    """A decision about a win, which is credited whatever it is, and held if it is over a cap (rule 33).

    Args:
        decision: applied.
        ask: whose policy may have a cap for each win.
        grant: which may have one for all wins of its free rounds; this one is counted already.
    """
    if ask.type not in {Type.WIN, Type.BETWIN}:
        return decision
    won = ask.win if ask.type is Type.BETWIN else decision.amount
    is_over = 0 < ask.policy.max_win < won
    if grant is not None and ask.policy.free_rounds is FreeRounds.HOUSE:
        is_over |= 0 < grant.max_win < grant.won_in_all
    if not is_over:
        return decision
    return decision._replace(held=sum(minor for leg, minor in decision.legs if leg is Leg.WIN_CASH))


def count(grant: Grant, decision: Decision) -> None:
    """What a decision adds to a player's part in a campaign.

    Args:
        grant: changed in place.
        decision: by `counted`, applied.
    """
    grant.used = max(0, grant.used + decision.spins)
    # Not below nothing: the site may have decided anew since the win that is taken back was counted.
    grant.won = max(0, grant.won + decision.free_win)
    if decision.turned is Type.REVERSE_WIN:
        grant.paid = max(0, grant.paid - decision.amount)
    else:
        grant.paid += sum(minor for leg, minor in decision.legs if leg in _PAID)


def repeated(known: Operation, wallet: Wallet) -> Operation:
    """What is told of an operation again.

    A void was told about no wallet; to a transfer that comes after it, it is told about the transfer's.
    """
    if known.type is not Type.VOID:
        return known
    balance = wallet.balance
    return replace(known, currency=wallet.currency, sequence=wallet.sequence, before=balance, after=balance)


def _taken_out(ask: Ask, won: Operation) -> int:
    """What a win that is taken back is less from now on in its round and its campaign; minor units.

    A person takes what was held of it; its platform takes all the rest.
    """
    return (ask.amount or 0) if ask.type is Type.REVERSE_WIN else won.amount - won.taken


def _is_apart(won: Operation) -> bool:
    """Won without a bet, a jackpot, say: it was never counted in a round (rule 34)."""
    return won.type is Type.WIN and won.reference is None


def _believed(decision: Decision, ask: Ask) -> Decision:
    """Of a platform that counts alone: what it will pay together is not credited before (rule 59)."""
    is_counted = ask.type is Type.BETWIN or (ask.type is Type.WIN and ask.kind is Kind.WIN)
    return decision._replace(legs=()) if is_counted else decision


def _take_back(around: Round | None, ask: Ask, won: Operation) -> None:
    """A win is taken back, by its platform or, as far as it was held, by a person."""
    out = _taken_out(ask, won)
    if ask.type is Type.REVERSE_WIN:
        won.taken = out
    else:
        won.is_reversed = True
    if around is not None and not _is_apart(won):
        around.win -= out


def _give_back(around: Round, stake: int) -> None:
    """One bet less; without any it is cancelled (rule 52)."""
    around.open_bets -= 1
    around.reversed += stake
    if not around.open_bets:
        around.state = RoundState.CANCELLED
