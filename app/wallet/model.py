"""How one operation is decided. Pure.

`EFFECTS` is the effect matrix (wallet.md 2.13): it says what an operation does, given how the operation it is
about stands. `decide` reads it, then holds rounds, sessions, blocks, limits and funds against the wish, in
that order: the first "no" is the answer. Amounts are minor units of the wallet's currency.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.kernel.money import MAX_MINOR
from app.wallet.states import belongs, legs_of, staked, states_another_amount, won_back, won_by
from app.wallet.terms import (
    Ask,
    Code,
    Decision,
    Facts,
    Kind,
    Leg,
    Operation,
    Round,
    RoundState,
    SessionGames,
    Type,
    Wallet,
    Why,
)

__all__ = ["BETS", "EFFECTS", "Asked", "Effect", "Standing", "decide", "decide_nowhere", "standing_of"]


class Asked(StrEnum):
    """The rows of the effect matrix: what is asked about operation B."""

    BET_SAME_PRINT = "bet B again, same print"
    BET_OTHER_PRINT = "bet B, other print"
    WIN = "win of B"
    ROLLBACK_NEW_ID = "rollback of B, new id"
    ROLLBACK_SAME_ID = "rollback of B, same id"


class Standing(StrEnum):
    """The columns of the effect matrix: how operation B stands."""

    NONE = "none"
    OPEN = "applied, open"
    REFUSED = "refused earlier"
    TOMBSTONED = "tombstoned"
    REVERSED = "reversed"
    SETTLED = "settled or closed"


class Effect(StrEnum):
    """What happens then; the words in capitals are answers that move no money."""

    DEBIT = "debit"
    CREDIT = "credit"
    CREDIT_IF_ROUND_OPEN = "credit if the round is open, else ROUND_CLOSED"
    REFUND = "refund"
    TOMBSTONE = "tombstone, NOTHING_TO_REVERSE"
    REPLAY = "replay of the first answer"
    CONFLICT = "ID_CONFLICT"
    BET_NOT_FOUND = "BET_NOT_FOUND"
    ROLLED_BACK = "ROLLED_BACK"
    PARENT_FAILED = "PARENT_FAILED"
    ALREADY_ROLLED_BACK = "ALREADY_ROLLED_BACK"
    ALREADY_SETTLED = "ALREADY_SETTLED"


def _row(
    none: Effect, opened: Effect, refused: Effect, tombstoned: Effect, *rest: Effect
) -> dict[Standing, Effect]:
    return dict(zip(Standing, (none, opened, refused, tombstoned, *rest), strict=True))


# Asking B's own bet again before B came (NONE, other print) cannot be; it is the first bet then: a debit.
EFFECTS: Final[Mapping[Asked, Mapping[Standing, Effect]]] = {
    Asked.BET_SAME_PRINT: _row(
        Effect.DEBIT, Effect.REPLAY, Effect.REPLAY, Effect.ROLLED_BACK, Effect.REPLAY, Effect.REPLAY
    ),
    Asked.BET_OTHER_PRINT: _row(
        Effect.DEBIT, Effect.CONFLICT, Effect.CONFLICT, Effect.ROLLED_BACK, Effect.CONFLICT, Effect.CONFLICT
    ),
    Asked.WIN: _row(
        Effect.BET_NOT_FOUND,
        Effect.CREDIT,
        Effect.BET_NOT_FOUND,
        Effect.ROLLED_BACK,
        Effect.ROLLED_BACK,
        Effect.CREDIT_IF_ROUND_OPEN,
    ),
    Asked.ROLLBACK_NEW_ID: _row(
        Effect.TOMBSTONE,
        Effect.REFUND,
        Effect.PARENT_FAILED,
        Effect.ALREADY_ROLLED_BACK,
        Effect.ALREADY_ROLLED_BACK,
        Effect.ALREADY_SETTLED,
    ),
    Asked.ROLLBACK_SAME_ID: dict.fromkeys(Standing, Effect.REPLAY),
}


_REPLAY: Final = Decision(Code.OK, stored=False, is_replay=True)
# By effect: answers that move no money, and whether they are kept. A win before its bet may come again.
_ANSWERS: Final[Mapping[Effect, Decision]] = {
    Effect.REPLAY: _REPLAY,
    Effect.CONFLICT: Decision(Code.ID_CONFLICT, stored=False),
    Effect.BET_NOT_FOUND: Decision(Code.BET_NOT_FOUND, stored=False),
    Effect.TOMBSTONE: Decision(Code.NOTHING_TO_REVERSE),
    Effect.ROLLED_BACK: Decision(Code.ROLLED_BACK),
    Effect.PARENT_FAILED: Decision(Code.PARENT_FAILED),
    Effect.ALREADY_ROLLED_BACK: Decision(Code.ALREADY_ROLLED_BACK),
    Effect.ALREADY_SETTLED: Decision(Code.ALREADY_SETTLED),
}
BETS: Final = frozenset({Type.BET, Type.BETWIN})
_NO_FAILURES: Final = frozenset({Code.OK, Code.NOTHING_TO_REVERSE, Code.ALREADY_ROLLED_BACK})
_MOST_KEPT: Final = 2**63 - 1  # a PostgreSQL BIGINT


def standing_of(operation: Operation | None, around: Round | None, *, is_tombstoned: bool) -> Standing:
    """The column of the effect matrix for an operation, found or not, and the round it belongs to."""
    # Money that moved counts more than a rollback that went elsewhere: one that named another player, say.
    if is_tombstoned and (operation is None or not operation.applied):
        return Standing.TOMBSTONED
    if operation is None:
        return Standing.NONE
    if operation.code is not Code.OK:
        return Standing.REFUSED
    if operation.is_reversed:
        return Standing.REVERSED
    closed = around is not None and around.state is not RoundState.OPEN
    # A bet that came with its win is settled from the start.
    settled = operation.is_settled or operation.type is Type.BETWIN
    return Standing.SETTLED if settled or closed else Standing.OPEN


def decide(ask: Ask, wallet: Wallet, facts: Facts) -> Decision:
    """Decide one operation upon what the earlier ones left.

    The key is looked at before anything else, so that a repeat always gets its first answer (rule 7).

    Args:
        wallet: whose money; for a rollback the wallet of the operation it names, where there is one.
    """
    found = _again(ask, facts)
    if found is not None:
        return found
    match ask.type:
        case Type.DEPOSIT:
            return _deposit(ask, wallet)
        case Type.WITHDRAW:
            return _withdraw(ask, wallet, facts)
        case Type.WIN:
            return _win(ask, wallet, facts)
        case Type.ROLLBACK:
            return _rollback(ask, wallet, facts)
        case Type.BONUS:
            legs = legs_of((Leg.GRANT_BONUS, ask.amount or 0))
            return Decision(Code.OK, applied=True, amount=ask.amount or 0, legs=legs)
        case _:
            return _bet(ask, wallet, facts)


def decide_nowhere(ask: Ask, facts: Facts, *, is_player: bool) -> Decision:
    """Decide an operation of somebody who is no player, or has no wallet of its currency: nothing moves."""
    found = _again(ask, facts)
    if found is not None:
        return found
    is_known = is_player and ask.type is not Type.ROLLBACK  # which names no currency
    return Decision(Code.CURRENCY_MISMATCH if is_known else Code.PLAYER_NOT_FOUND, stored=False)


def _again(ask: Ask, facts: Facts) -> Decision | None:
    """What the id stands for already, or what the site has decided against it since; mostly nothing."""
    known = facts.known
    if known is not None:
        if known.type is Type.VOID or known.fingerprint == ask.fingerprint:
            return _REPLAY
        return _ANSWERS[EFFECTS[Asked.BET_OTHER_PRINT][standing_of(known, facts.round, is_tombstoned=False)]]
    return None if ask.barred is None else Decision(ask.barred.code, stored=False, field=ask.barred.field)


def _deposit(ask: Ask, wallet: Wallet) -> Decision:
    amount, policy = ask.amount or 0, ask.policy
    if wallet.is_blocked and not policy.blocked_may_transfer:
        return Decision(Code.PLAYER_BLOCKED, amount=amount)
    for found, most, why in (
        (amount, policy.max_transfer, Why.MAX_TRANSFER),
        (wallet.balance + amount, policy.max_balance, Why.MAX_BALANCE),
    ):
        if found > _most(most):
            return _over(amount, most, why)
    return Decision(Code.OK, applied=True, amount=amount, legs=((Leg.DEPOSIT, amount),))


def _most(allowed: int) -> int:
    """The most that may be, where a site has set a limit or none."""
    return min(allowed or MAX_MINOR, MAX_MINOR)


def _over(amount: int, most: int, why: Why) -> Decision:
    """Too much: for this site, or for any."""
    return Decision(Code.LIMIT_EXCEEDED, amount=amount, why=why if 0 < most <= MAX_MINOR else Why.LARGEST)


def _withdraw(ask: Ask, wallet: Wallet, facts: Facts) -> Decision:
    policy = ask.policy
    amount = wallet.cash if ask.amount is None else ask.amount
    if facts.round_open and not policy.withdraw_while_round_open:
        return Decision(Code.IN_PROGRESS, stored=False, amount=amount, why=Why.ROUND_OPEN)
    if wallet.is_blocked and not policy.blocked_may_transfer:
        return Decision(Code.PLAYER_BLOCKED, amount=amount)
    if amount > _most(policy.max_transfer):
        return _over(amount, policy.max_transfer, Why.MAX_TRANSFER)
    if amount > wallet.cash:
        return Decision(Code.INSUFFICIENT_FUNDS, amount=amount)
    if not amount:
        return Decision(Code.OK)
    return Decision(Code.OK, applied=True, amount=amount, legs=((Leg.WITHDRAW, amount),))


def _bet(ask: Ask, wallet: Wallet, facts: Facts) -> Decision:
    amount, policy, around = ask.amount or 0, ask.policy, facts.round
    if facts.is_tombstoned:
        # The effect is the matrix's; some platforms want to hear it as a success without money (rule 23).
        return Decision(Code.OK if policy.tombstoned_bet_ok else Code.ROLLED_BACK, amount=amount)
    if around is not None and (
        around.state is not RoundState.OPEN or (policy.one_bet_per_round and around.open_bets)
    ):
        return Decision(Code.ROUND_CLOSED, amount=amount)
    if not facts.session_ok:
        return Decision(Code.SESSION_EXPIRED, amount=amount)
    if policy.session_games is SessionGames.OWN and facts.session_game not in {None, ask.game}:
        return Decision(Code.VALIDATION, stored=False, field="gameCode")
    if wallet.is_blocked:
        return Decision(Code.PLAYER_BLOCKED, amount=amount)
    if policy.max_bet and amount > policy.max_bet:
        return _over(amount, policy.max_bet, Why.MAX_BET)
    if amount > wallet.balance:
        return Decision(Code.INSUFFICIENT_FUNDS, amount=amount)
    cash, bonus = staked(wallet, amount, policy.stake_order)
    legs = legs_of((Leg.BET_CASH, cash), (Leg.BET_BONUS, bonus), *won_by(ask.win, bonus, amount))
    return Decision(Code.OK, applied=True, amount=amount, legs=legs)


def _win(ask: Ask, wallet: Wallet, facts: Facts) -> Decision:
    amount, bet, around = ask.amount or 0, facts.reference, facts.round
    if facts.is_own_tombstoned:
        return Decision(Code.ROLLED_BACK, amount=amount)
    if wallet.balance + amount > _MOST_KEPT:
        return Decision(Code.LIMIT_EXCEEDED, stored=False, amount=amount, why=Why.LARGEST)
    if ask.kind is not Kind.WIN:
        return Decision(Code.OK, applied=True, amount=amount, legs=legs_of((Leg.WIN_CASH, amount)))
    if bet is not None and (bet.type not in BETS or bet.player_id != wallet.player_id):
        return Decision(Code.BET_NOT_FOUND, stored=False)
    effect = EFFECTS[Asked.WIN][standing_of(bet, around, is_tombstoned=facts.is_tombstoned)]
    if effect in _ANSWERS:
        return _about(effect, amount)
    assert bet is not None, "the matrix credits no win without its bet"
    if ask.currency != bet.currency:
        return Decision(Code.CURRENCY_MISMATCH, stored=False)
    if (ask.round_id, ask.provider) != (bet.round_id, bet.provider):
        wrong = "roundId" if ask.round_id != bet.round_id else "providerId"
        return Decision(Code.VALIDATION, stored=False, field=wrong)
    if around is not None and around.state is not RoundState.OPEN:
        return Decision(Code.ROUND_CLOSED, amount=amount)
    legs = legs_of(*won_by(amount, bet.bonus, bet.amount))
    return Decision(Code.OK, applied=True, amount=amount, legs=legs)


def _rollback(ask: Ask, wallet: Wallet, facts: Facts) -> Decision:
    original = facts.reference
    if original is not None and not belongs(ask, wallet, original):
        return Decision(Code.TRANSACTION_NOT_FOUND, stored=False)
    if original is not None and original.applied and states_another_amount(ask, original):
        return Decision(Code.VALIDATION, stored=False, field="amount")
    standing = standing_of(original, facts.round, is_tombstoned=facts.is_tombstoned)
    if original is not None and original.type not in BETS and standing is not Standing.REVERSED:
        if original.type is Type.WIN and original.applied and ask.policy.reverse_wins:
            return won_back(ask.policy, wallet, original)
        standing = Standing.SETTLED if original.code in _NO_FAILURES else standing
    effect = EFFECTS[Asked.ROLLBACK_NEW_ID][standing]
    if effect in _ANSWERS:
        return _about(effect, 0 if original is None else original.amount)
    assert original is not None, "the matrix refunds nothing that is not there"
    legs = legs_of((Leg.REFUND_CASH, original.cash), (Leg.REFUND_BONUS, original.bonus))
    return Decision(Code.OK, applied=True, amount=original.amount, legs=legs)


def _about(effect: Effect, amount: int) -> Decision:
    found = _ANSWERS[effect]
    return Decision(found.code, stored=found.stored, amount=amount)
