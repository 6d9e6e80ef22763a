# ruff: noqa: E501  a table is read by its columns
"""What a word of the provider does to a payment, whatever was known before: one table for all kinds. Pure.

Source: payments.md sections 1.4 (who may overrule whom) and 1.5 (late and contradicting evidence). Rows are
where the payment stands, columns what arrives. A cell names an effect and the rank of evidence it takes; what
ranks lower does the other, and what ranks highest may do a third. A hint makes us ask at most, whatever it
says. `docs/payments.md` shows the same table, made from this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.payments.model import Facts, Source
from app.payments.states import STATUS_OF, Kind, Status, SubStatus

__all__ = ["MATRIX", "Arrival", "Cell", "Effect", "Standing", "cell_of", "judge", "standing_of"]


class Standing(StrEnum):
    """Where a payment stands as far as its provider is concerned. Of a payout: where the leg stands."""

    DEPOSIT_UNSENT = "deposit, not sent"
    DEPOSIT_SUBMITTED = "deposit, submitted"
    DEPOSIT_AWAITING = "deposit, awaiting player"
    DEPOSIT_PENDING = "deposit, provider pending"
    DEPOSIT_UNKNOWN = "deposit, unknown"
    DEPOSIT_CONFLICTED = "deposit, conflicted"
    DEPOSIT_COMPLETED = "deposit, completed"
    DEPOSIT_FAILED = "deposit, failed"
    DEPOSIT_CANCELLED = "deposit, cancelled"
    DEPOSIT_REFUNDED = "deposit, refunded"
    DEPOSIT_REVERSED = "deposit, reversed"
    DEPOSIT_SUPERSEDED = "deposit, an earlier attempt"
    DEPOSIT_STILL_OPEN = "deposit, a page still open"
    PAYOUT_UNSENT = "payout, nothing arrived"
    PAYOUT_SUBMITTED = "payout, submitted"
    PAYOUT_PENDING = "payout, provider pending"
    PAYOUT_UNKNOWN = "payout, unknown"
    PAYOUT_CONFLICTED = "payout, conflicted"
    PAYOUT_COMPLETED = "payout, completed"
    PAYOUT_FAILED = "payout, failed and released"
    PAYOUT_CANCELLED = "payout, cancelled or rejected"
    PAYOUT_RETURNED = "payout, returned"
    PAYOUT_SUPERSEDED = "payout, an earlier attempt"
    REFUND_UNSENT = "refund, nothing arrived"
    REFUND_SUBMITTED = "refund, submitted"
    REFUND_PENDING = "refund, provider pending"
    REFUND_UNKNOWN = "refund, unknown"
    REFUND_CONFLICTED = "refund, conflicted"
    REFUND_COMPLETED = "refund, completed"
    REFUND_FAILED = "refund, failed and released"
    REFUND_CANCELLED = "refund, cancelled or rejected"
    REFUND_SUPERSEDED = "refund, an earlier attempt"


class Arrival(StrEnum):
    """What arrives. A success is compared with what is known: amount, currency, the provider's number."""

    PAID = "paid as ordered"
    PAID_OTHERWISE = "paid, other amount"
    PAID_AGAIN = "paid, other number"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    TAKEN_BACK = "taken back"
    PENDING = "pending"
    NEEDS_PLAYER = "needs player"
    UNKNOWN = "unknown"
    NOT_FOUND_YET = "not found yet"
    NOT_FOUND = "not found"
    NOT_SENT = "not sent"


class Effect(StrEnum):
    """What follows; `rules` turns each into a step."""

    STAY = "stay"
    SETTLE = "settled"
    ASK = "ask"
    PEND_AND_ASK = "pending, ask"
    PEND = "pending"
    AWAIT_PLAYER = "await player"
    DOUBT = "unknown"
    PAY = "pay"
    PAY_LATE = "pay late"
    PAY_UNAPPROVED = "pay, unapproved"
    MONEY_WENT_BACK = "money went back"
    REVERSE = "reverse"
    CONFLICT = "conflict"
    FAIL = "fail"
    END_ORDER = "end order"
    NOTHING_LEFT = "nothing left us"
    SEND_AGAIN = "send again"
    REOPEN = "reopen"
    RETURN = "return"
    UNDO = "undo"
    CALL_AMOUNT = "case: amount differs"
    CALL_SECOND = "case: second payment"
    CALL_DENIED = "case: denied after success"
    CALL_CANCELLED = "case: paid after cancel"
    CALL_VANISHED = "case: order vanished"
    CALL_TAKEN_BACK = "case: taken back"
    CALL_REVIVED = "case: revived"
    CALL_UNAPPROVED = "case: paid unapproved"


@dataclass(frozen=True, slots=True)
class Cell:
    """An effect, the rank of evidence that it takes, and what a lower rank does.

    Args:
        effect: what follows from evidence that ranks as `proof`, or above it.
        proof: see `effect`.
        otherwise: what follows from evidence that ranks lower.
        settled: what follows from a settlement file, or from two people with a proof, where that is more.
    """

    effect: Effect
    proof: Source = Source.ANSWER
    otherwise: Effect = Effect.ASK
    settled: Effect | None = None

    def of(self, source: Source) -> Effect:
        """What follows from evidence of this rank."""
        if source is Source.SETTLEMENT and self.settled is not None:
            return self.settled
        return self.effect if source >= self.proof else self.otherwise


def _needs(proof: Source, effect: Effect, otherwise: Effect = Effect.ASK) -> Cell:
    return Cell(effect, proof, otherwise)


_N, _Q = Source.NOTICE, Source.STATUS_QUERY
stay = Cell(Effect.STAY, Source.HINT)
done = _needs(_Q, Effect.SETTLE, Effect.STAY)
pend, await_ = Cell(Effect.PEND), Cell(Effect.AWAIT_PLAYER)
doubt, fail, end, unsent = (
    Cell(Effect.DOUBT),
    Cell(Effect.FAIL),
    Cell(Effect.END_ORDER),
    Cell(Effect.NOTHING_LEFT),
)
# Once the provider has said that it has the order, the answer to sending it is no later word.
nofail, noend = _needs(_N, Effect.FAIL), _needs(_N, Effect.END_ORDER)
again, gone = Cell(Effect.SEND_AGAIN), Cell(Effect.CALL_VANISHED)
amount, second = Cell(Effect.CALL_AMOUNT), Cell(Effect.CALL_SECOND)
# While it is open a signed notice is enough for a success; the direct answer makes us ask.
pay, clash = _needs(_N, Effect.PAY), _needs(_N, Effect.CONFLICT)
pay_, clash_ = _needs(_N, Effect.PAY, Effect.PEND_AND_ASK), _needs(_N, Effect.CONFLICT, Effect.PEND_AND_ASK)
# What would change an end, or be no success after one, is the provider's own answer to our question.
unpay, late, lclash = _needs(_Q, Effect.FAIL), _needs(_Q, Effect.PAY_LATE), _needs(_Q, Effect.CONFLICT)
qpay, qclash = _needs(_Q, Effect.PAY), _needs(_Q, Effect.CONFLICT)
theft, qunap = _needs(_Q, Effect.PAY_UNAPPROVED), _needs(_Q, Effect.CALL_UNAPPROVED)
denied, cancel, back = (
    _needs(_Q, Effect.REVERSE),
    _needs(_Q, Effect.CALL_CANCELLED),
    _needs(_Q, Effect.CALL_TAKEN_BACK),
)
reopen, revive = _needs(_Q, Effect.REOPEN), _needs(_Q, Effect.CALL_REVIVED)
# The two stories of a conflict are ended by a third that outranks both: it was paid as ordered after all; it was
# not, or went back to us; what came for a deposit went back to its payer. Another amount stays with people.
cpaid = Cell(Effect.SETTLE, _Q, Effect.STAY, Effect.PAY)
cnot = Cell(Effect.CALL_DENIED, _Q, Effect.ASK, Effect.FAIL)
cback = Cell(Effect.CALL_TAKEN_BACK, _Q, Effect.ASK, Effect.FAIL)
cgone = Cell(Effect.CALL_TAKEN_BACK, _Q, Effect.ASK, Effect.MONEY_WENT_BACK)
# The provider has said no to a success of its own, or that it came back; that it was one after all is for what
# outranks its word.
repaid = Cell(Effect.CALL_REVIVED, _Q, Effect.ASK, Effect.PAY_LATE)
return_, undo = _needs(_Q, Effect.RETURN), _needs(_Q, Effect.UNDO)
# That an attempt is paid whose place another has taken calls people on anybody's word, a hint's too: it moves
# nothing, and a question about it might be forgotten when the present attempt ends.
twice = Cell(Effect.CALL_SECOND, Source.HINT)

# That the page of an attempt is open still, after another was paid, is what it was: its provider is asked until
# it is over, and told to forget it.
open_ = _needs(_Q, Effect.STAY)

T = Standing
# fmt: off
_ROWS: Mapping[Standing, tuple[Cell, ...]] = {
    #                      paid   other   again   declin. cancel. back     pending  player   unknown  not yet  not fnd  not sent
    T.DEPOSIT_UNSENT:     (stay,  stay,   stay,   stay,   stay,   stay,    stay,    stay,    stay,    stay,    stay,    stay),
    T.DEPOSIT_SUBMITTED:  (pay_,  clash_, clash_, fail,   end,    unpay,   pend,    await_,  doubt,   stay,    unsent,  unsent),
    T.DEPOSIT_AWAITING:   (pay,   clash,  clash,  nofail, noend,  back,    pend,    stay,    stay,    gone,    gone,    unsent),
    T.DEPOSIT_PENDING:    (pay,   clash,  clash,  nofail, noend,  unpay,   stay,    await_,  stay,    gone,    gone,    unsent),
    T.DEPOSIT_UNKNOWN:    (pay,   clash,  clash,  fail,   end,    unpay,   pend,    await_,  stay,    stay,    unsent,  unsent),
    T.DEPOSIT_CONFLICTED: (cpaid, amount, second, cnot,   cnot,   cgone,   stay,    stay,    stay,    stay,    stay,    stay),
    T.DEPOSIT_COMPLETED:  (done,  amount, second, denied, denied, back,    stay,    stay,    stay,    stay,    stay,    stay),
    T.DEPOSIT_FAILED:     (late,  lclash, lclash, done,   done,   done,    done,    done,    stay,    done,    done,    done),
    T.DEPOSIT_CANCELLED:  (cancel,cancel, cancel, done,   done,   done,    done,    done,    stay,    done,    done,    done),
    T.DEPOSIT_REFUNDED:   (done,  amount, second, done,   done,   done,    stay,    stay,    stay,    stay,    stay,    stay),
    T.DEPOSIT_REVERSED:   (repaid,amount, second, done,   done,   done,    stay,    stay,    stay,    done,    done,    stay),
    T.DEPOSIT_SUPERSEDED: (twice, twice,  twice,  done,   done,   done,    revive,  revive,  stay,    stay,    stay,    stay),
    T.DEPOSIT_STILL_OPEN: (twice, twice,  twice,  done,   done,   done,    open_,   open_,   stay,    stay,    stay,    stay),

    T.PAYOUT_UNSENT:      (qpay,  qclash, qclash, done,   done,   done,    reopen,  reopen,  stay,    done,    done,    done),
    T.PAYOUT_SUBMITTED:   (pay_,  clash_, clash_, fail,   fail,   unpay,   pend,    doubt,   doubt,   stay,    again,   unsent),
    T.PAYOUT_PENDING:     (pay,   clash,  clash,  nofail, nofail, unpay,   stay,    stay,    stay,    gone,    gone,    stay),
    T.PAYOUT_UNKNOWN:     (pay,   clash,  clash,  fail,   fail,   unpay,   pend,    stay,    stay,    stay,    again,   stay),
    T.PAYOUT_CONFLICTED:  (cpaid, amount, second, cnot,   cnot,   cback,   stay,    stay,    stay,    stay,    stay,    stay),
    T.PAYOUT_COMPLETED:   (done,  amount, second, return_,return_,return_, stay,    stay,    stay,    stay,    stay,    stay),
    T.PAYOUT_FAILED:      (late,  lclash, lclash, done,   done,   done,    reopen,  reopen,  stay,    done,    done,    done),
    T.PAYOUT_CANCELLED:   (theft, qunap,  qunap,  done,   done,   done,    revive,  revive,  stay,    done,    done,    done),
    T.PAYOUT_RETURNED:    (repaid,amount, second, done,   done,   done,    stay,    stay,    stay,    stay,    stay,    stay),
    T.PAYOUT_SUPERSEDED:  (twice, twice,  twice,  done,   done,   done,    revive,  revive,  stay,    stay,    stay,    stay),

    T.REFUND_UNSENT:      (qpay,  qclash, qclash, done,   done,   done,    reopen,  reopen,  stay,    done,    done,    done),
    T.REFUND_SUBMITTED:   (pay_,  clash_, clash_, fail,   fail,   unpay,   pend,    doubt,   doubt,   stay,    again,   unsent),
    T.REFUND_PENDING:     (pay,   clash,  clash,  nofail, nofail, unpay,   stay,    stay,    stay,    gone,    gone,    stay),
    T.REFUND_UNKNOWN:     (pay,   clash,  clash,  fail,   fail,   unpay,   pend,    stay,    stay,    stay,    again,   stay),
    T.REFUND_CONFLICTED:  (cpaid, amount, second, cnot,   cnot,   cback,   stay,    stay,    stay,    stay,    stay,    stay),
    T.REFUND_COMPLETED:   (done,  amount, second, undo,   undo,   undo,    stay,    stay,    stay,    stay,    stay,    stay),
    T.REFUND_FAILED:      (late,  lclash, lclash, done,   done,   done,    revive,  revive,  stay,    done,    done,    done),
    T.REFUND_CANCELLED:   (theft, qunap,  qunap,  done,   done,   done,    revive,  revive,  stay,    done,    done,    done),
    T.REFUND_SUPERSEDED:  (twice, twice,  twice,  done,   done,   done,    revive,  revive,  stay,    stay,    stay,    stay),
}
# fmt: on
MATRIX: Mapping[Standing, Mapping[Arrival, Cell]] = {
    standing: dict(zip(Arrival, row, strict=True)) for standing, row in _ROWS.items()
}
assert MATRIX.keys() == set(Standing)

S = SubStatus
_OPEN: Mapping[Kind, Mapping[SubStatus, Standing]] = {
    Kind.DEPOSIT: {
        S.SUBMITTED: T.DEPOSIT_SUBMITTED,
        S.AWAITING_PLAYER: T.DEPOSIT_AWAITING,
        S.PROVIDER_PENDING: T.DEPOSIT_PENDING,
        S.UNKNOWN: T.DEPOSIT_UNKNOWN,
        S.CONFLICTED: T.DEPOSIT_CONFLICTED,
    },
    Kind.PAYOUT: {
        S.SUBMITTED: T.PAYOUT_SUBMITTED,
        S.PROVIDER_PENDING: T.PAYOUT_PENDING,
        S.UNKNOWN: T.PAYOUT_UNKNOWN,
        S.CONFLICTED: T.PAYOUT_CONFLICTED,
    },
    Kind.REFUND: {
        S.SUBMITTED: T.REFUND_SUBMITTED,
        S.PROVIDER_PENDING: T.REFUND_PENDING,
        S.UNKNOWN: T.REFUND_UNKNOWN,
        S.CONFLICTED: T.REFUND_CONFLICTED,
    },
}
_ENDED: Mapping[Kind, Mapping[Status, Standing]] = {
    Kind.DEPOSIT: {
        Status.COMPLETED: T.DEPOSIT_COMPLETED,
        Status.FAILED: T.DEPOSIT_FAILED,
        Status.CANCELLED: T.DEPOSIT_CANCELLED,
        Status.REFUNDED: T.DEPOSIT_REFUNDED,
    },
    Kind.PAYOUT: {
        Status.COMPLETED: T.PAYOUT_COMPLETED,
        Status.FAILED: T.PAYOUT_FAILED,
        Status.CANCELLED: T.PAYOUT_CANCELLED,
        Status.REFUNDED: T.PAYOUT_RETURNED,
    },
    Kind.REFUND: {
        Status.COMPLETED: T.REFUND_COMPLETED,
        Status.FAILED: T.REFUND_FAILED,
        Status.CANCELLED: T.REFUND_CANCELLED,
        Status.REFUNDED: T.REFUND_COMPLETED,  # no refund is ever there
    },
}
_SUPERSEDED = {
    Kind.DEPOSIT: T.DEPOSIT_SUPERSEDED,
    Kind.PAYOUT: T.PAYOUT_SUPERSEDED,
    Kind.REFUND: T.REFUND_SUPERSEDED,
}
_UNSENT = {Kind.DEPOSIT: T.DEPOSIT_UNSENT, Kind.PAYOUT: T.PAYOUT_UNSENT, Kind.REFUND: T.REFUND_UNSENT}


def standing_of(facts: Facts) -> Standing:
    """The row of the table."""
    if facts.kind is Kind.DEPOSIT and facts.sent_at is None:
        return T.DEPOSIT_UNSENT
    if facts.kind is Kind.DEPOSIT and facts.is_superseded and facts.is_still_open:
        return T.DEPOSIT_STILL_OPEN
    if facts.is_superseded:
        return _SUPERSEDED[facts.kind]
    if facts.sub_status is S.REVERSED:
        return T.DEPOSIT_REVERSED
    found = _OPEN[facts.kind].get(facts.sub_status) or _ENDED[facts.kind].get(STATUS_OF[facts.sub_status])
    return found or _UNSENT[facts.kind]


def cell_of(standing: Standing, arrival: Arrival) -> Cell:
    """The cell of the table."""
    return MATRIX[standing][arrival]


def judge(facts: Facts, arrival: Arrival, source: Source) -> Effect:
    """What arrives, from such a source, does this to a payment that stands so."""
    return cell_of(standing_of(facts), arrival).of(source)
