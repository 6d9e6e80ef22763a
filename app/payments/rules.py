"""What evidence does to a deposit, and when its provider is asked. Pure.

Sources: payments.md sections 1.4 (who may overrule whom), 1.5 (late and contradicting evidence), 1.6
(asking).
"""

from datetime import timedelta
from typing import Final, assert_never

from app.payments.model import (
    STATUS_OF,
    Attention,
    DepositFacts,
    Evidence,
    Source,
    Status,
    Step,
    SubStatus,
    Verdict,
)

__all__ = ["ASK_HORIZON", "ask_delay", "asks_provider", "next_step"]

S = SubStatus
STAY: Final = Step()
_AT_PROVIDER: Final = frozenset({S.SUBMITTED, S.AWAITING_PLAYER, S.PROVIDER_PENDING, S.UNKNOWN})

_ASK_SCHEDULE = (
    timedelta(seconds=5),
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
)
_DAILY = timedelta(days=1)
ASK_HORIZON = timedelta(days=14)
# While it may act; and after an end that was not the provider's own word, for a late success.
_ASKED = _AT_PROVIDER | {S.EXPIRED, S.PROVIDER_ERROR}


def next_step(deposit: DepositFacts, evidence: Evidence, *, patience_seconds: float = 120) -> Step:
    """What one piece of evidence does to a deposit; one table for every way evidence can arrive.

    Args:
        deposit: the deposit as it stands, read under its lock.
        evidence: what the provider said.
        patience_seconds: for so long after sending, "not found" may only mean "not stored yet" (trust.md,
            scenario 43).
    """
    if deposit.sub_status in _AT_PROVIDER:
        return _while_open(deposit, evidence, patience_seconds)
    if deposit.sub_status in {S.COMPLETED, S.CONFLICTED}:
        return _after_money(deposit, evidence)
    if STATUS_OF[deposit.sub_status] in {Status.FAILED, Status.CANCELLED} and deposit.sent_at is not None:
        return _after_the_end(deposit, evidence)
    return STAY


def _while_open(deposit: DepositFacts, evidence: Evidence, patience_seconds: float) -> Step:
    match evidence.verdict:
        case Verdict.PAID:
            return _paid(deposit, evidence, is_late=False)
        case Verdict.DECLINED:
            return Step(path=(S.DECLINED,))
        case Verdict.CANCELLED:
            return Step(path=(S.EXPIRED if _is_out_of_time(deposit, evidence) else S.BY_PLAYER,))
        case Verdict.NOT_SENT:
            return Step(path=(S.PROVIDER_ERROR,))
        case Verdict.NEEDS_PLAYER:
            return _moved(deposit, S.AWAITING_PLAYER)
        case Verdict.PENDING:
            return _moved(deposit, S.PROVIDER_PENDING)
        case Verdict.NOT_FOUND:
            return _not_found(deposit, evidence, patience_seconds)
        case Verdict.UNKNOWN:
            # "Unknown" never replaces something definite (payments.md 1.4); only a first answer can be it.
            return _moved(deposit, S.UNKNOWN) if deposit.sub_status is S.SUBMITTED else STAY
        case _:
            assert_never(evidence.verdict)


def _not_found(deposit: DepositFacts, evidence: Evidence, patience_seconds: float) -> Step:
    """The provider does not know the order: an end only where it never showed that it did."""
    if deposit.sub_status in {S.AWAITING_PLAYER, S.PROVIDER_PENDING}:
        return Step(attention=Attention.ORDER_VANISHED)
    if deposit.sent_at is None or (evidence.at - deposit.sent_at).total_seconds() < patience_seconds:
        return STAY
    return Step(path=(S.PROVIDER_ERROR,))


def _is_out_of_time(deposit: DepositFacts, evidence: Evidence) -> bool:
    """Whether a cancel is our own: at the end of the player's time the order is withdrawn by us."""
    is_awaited = deposit.sub_status is S.AWAITING_PLAYER
    return is_awaited and deposit.expires_at is not None and evidence.at >= deposit.expires_at


def _after_money(deposit: DepositFacts, evidence: Evidence) -> Step:
    """Money was taken, and credited or in conflict: whatever else comes never credits by itself."""
    match evidence.verdict:
        case Verdict.PAID if evidence.provider_reference != deposit.provider_reference:
            return Step(attention=Attention.SECOND_PAYMENT)
        case Verdict.PAID if evidence.amount != deposit.amount:
            return Step(attention=Attention.AMOUNT_DIFFERS)
        case Verdict.PAID:
            return Step(settles=evidence.source >= Source.STATUS_QUERY)
        case Verdict.DECLINED | Verdict.CANCELLED:
            if evidence.source < Source.STATUS_QUERY:
                return Step(ask_again=True)
            return Step(attention=Attention.DENIED_AFTER_SUCCESS)
        case _:
            return STAY


def _after_the_end(deposit: DepositFacts, evidence: Evidence) -> Step:
    """It failed or was cancelled: only the provider's own signed answer can make it a late success."""
    if evidence.verdict is not Verdict.PAID:
        is_answer = evidence.source >= Source.STATUS_QUERY and evidence.verdict is not Verdict.UNKNOWN
        return Step(settles=is_answer)
    if evidence.source < Source.STATUS_QUERY:
        return Step(ask_again=True)
    if STATUS_OF[deposit.sub_status] is Status.CANCELLED:
        # The policy is to return the money: a person's deed.
        return Step(attention=Attention.PAID_AFTER_CANCEL)
    return _paid(deposit, evidence, is_late=True)


def _paid(deposit: DepositFacts, evidence: Evidence, *, is_late: bool) -> Step:
    if evidence.source < Source.NOTICE:
        return Step(path=(S.PROVIDER_PENDING,) if deposit.sub_status is S.SUBMITTED else (), ask_again=True)
    if evidence.amount != deposit.amount:
        return Step(path=(S.CONFLICTED,), attention=Attention.AMOUNT_DIFFERS)
    return Step(path=(S.CREDITING, S.COMPLETED), credit=deposit.amount, is_late=is_late)


def _moved(deposit: DepositFacts, target: SubStatus) -> Step:
    return STAY if deposit.sub_status is target else Step(path=(target,))


def asks_provider(sub_status: SubStatus) -> bool:
    """Whether the provider is still worth asking: while it may act, and after expiry for a late success."""
    return sub_status in _ASKED


def ask_delay(asked: int) -> timedelta:
    """How long to wait before asking the provider again, having asked so often (payments.md section 1.6)."""
    return _ASK_SCHEDULE[asked] if asked < len(_ASK_SCHEDULE) else _DAILY
