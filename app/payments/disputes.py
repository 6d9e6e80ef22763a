"""Disputes: a player's bank takes a deposit back, and gives it back when the dispute is won.

The provider takes the money from us when a dispute is opened. It is taken from the player's cash as far as it
is there and owed beyond that, or from the merchant in seamless mode; won, it comes back. A deposit of which
nothing is left by lost disputes is charged back. The caller holds the deposit's lock. People move a dispute
only where no money moves with it: what they answered the bank, and that they gave in.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from app import ledger, merchants, providers, staff
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.case_tables import disputes
from app.payments.dispute_telling import Dispute, dispute_of, disputes_of, tell_dispute
from app.payments.model import Attention, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.states import DISPUTE_NEXT, DisputeState, Kind, Status, SubStatus
from app.payments.steps import Cause, carry_out, remember
from app.payments.tables import payment_numbers
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "DisputeNotFound",
    "DisputeNotMovable",
    "DisputePage",
    "apply_dispute",
    "dispute_page",
    "move_dispute",
    "open_disputes",
]

D = DisputeState
_SOURCE: Final = "payments"
# The money is with the bank while it is not decided.
_UNDECIDED: Final = frozenset({D.OPENED, D.NEEDS_RESPONSE, D.SUBMITTED, D.PRE_ARBITRATION})
# The bank has the money, should it not have been taken before. What was given in to or has expired had to be
# opened first: a warning expires as well, and nothing was ever taken by it.
_TAKING: Final = _UNDECIDED | {D.LOST}
_NO_BEGINNING: Final = frozenset({D.ACCEPTED, D.EXPIRED})
_LOST: Final = _NO_BEGINNING | {D.LOST}
_OVER: Final = _LOST | {D.WON, D.PREVENTED}
# What people do about a dispute, or settle with the player; the rest is the bank's word.
_BY_HAND: Final = frozenset({D.PREVENTED, D.NEEDS_RESPONSE, D.SUBMITTED, D.ACCEPTED})
_LONGEST_NOTE: Final = 1_000
_STAGES: Final = {stage: DisputeState(stage.value) for stage in providers.DisputeStage}


class DisputeNotFound(Refusal):
    """There is no such dispute."""


class DisputeNotMovable(Refusal):
    """A dispute that is {state} cannot be made {target} by hand: {why}."""


@dataclass(frozen=True, slots=True)
class DisputePage:
    """Some disputes, the newest first, and whether there are older ones."""

    disputes: list[Dispute]
    has_more: bool


async def apply_dispute(
    tx: Transaction, found: Payment, attempt: Attempt, told: providers.DisputeReport, *, at: datetime
) -> Dispute | None:
    """Let the provider's word about a dispute count, once.

    A stage that cannot follow or cannot be the first, a sum in another currency, above the deposit or other
    than what was taken, and a dispute of what is no deposit are cases for people, never silence. So is one of
    an attempt whose place another has taken: what was credited came by the other.

    Args:
        tx: where to write.
        found: the payment, locked.
        attempt: the one of its tries that the provider speaks of.
        told: what it says.
        at: this instant.

    Returns:
        the dispute as it is then; None where people must look first.
    """
    state = _STAGES[told.stage]
    if found.kind is not Kind.DEPOSIT or not _fits(found, told.amount):
        await _call(tx, found, Attention.AMOUNT_DIFFERS, told, at)
        return None
    if found.present_attempt not in {None, attempt.attempt_id}:
        await _call(tx, found, Attention.SECOND_PAYMENT, told, at)
        return None
    before = await _known(tx, found, told.dispute_reference)
    if before is not None and before.payment_id != found.payment_id:
        await _call(tx, found, Attention.REFERENCE_REUSED, told, at)
        return None
    if before is not None:
        return await _followed(tx, found, before, told, state, at)
    if state in _NO_BEGINNING:
        await _call(tx, found, Attention.ILLEGAL_CHANGE, told, at)
        return None
    return await _opened(tx, found, told, state, at)


async def move_dispute(
    pipes: Pipes,
    site_id: int,
    dispute_id: str,
    operator: staff.Operator,
    state: DisputeState,
    *,
    note: str,
) -> Dispute:
    """Say what people did about a dispute: it waits for our answer, was answered, given in to, or settled.

    Args:
        pipes: the pipes.
        site_id: whose dispute it is.
        dispute_id: which.
        operator: whose deed it is.
        state: where it goes.
        note: for colleagues and auditors, 1 to 1,000 characters; it stands in the diary.

    Returns:
        the dispute as it is then.

    Raises:
        DisputeNotFound: no such dispute at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadReason: no note (422).
        DisputeNotMovable: it is the bank's word, or it does not follow; nothing is changed (409).
    """
    if not note.strip() or len(note) > _LONGEST_NOTE:
        raise staff.BadReason(field="note", rule=f"1 to {_LONGEST_NOTE} characters")
    staff.check_text("note", note)

    async def work(tx: Transaction) -> Dispute:
        at = pipes.clock.now()
        now_is = await staff.operator(tx, operator.operator_id)
        staff.require(now_is, staff.Right.CASE_RESOLVE, site_id)
        seen = await _read(tx, site_id, dispute_id)
        found = await payment(tx, site_id, seen.payment_id, lock=True)
        before = await _known(tx, found, seen.dispute_reference)
        assert before is not None
        _check_move(before.state, state)
        due_at = before.due_at if state is D.NEEDS_RESPONSE else None
        after = await _moved(tx, found, before, state, at, before.amount, due_at=due_at)
        detail = {"from": before.state.value, "to": state.value, "note": note, "payment": found.payment_id}
        await staff.note(
            tx, site_id, actor=now_is.actor, deed="dispute.moved", subject=dispute_id, detail=detail, at=at
        )
        return after

    return await pipes.database.retried(work)


def _check_move(now_is: DisputeState, target: DisputeState) -> None:
    if target not in _BY_HAND:
        why = "that is the bank's word"
    elif target not in DISPUTE_NEXT[now_is]:
        why = "it does not follow"
    else:
        return
    raise DisputeNotMovable(state=now_is.value, target=target.value, why=why)


async def dispute_page(
    reader: Reader,
    site_id: int,
    *,
    limit: int,
    is_open: bool = False,
    payment_id: str | None = None,
    starting_after: str | None = None,
) -> DisputePage:
    """Disputes as pages of a list, the newest first.

    Args:
        reader: where to read.
        site_id: whose.
        limit: at most so many.
        is_open: only those that are not decided.
        payment_id: only those of this deposit.
        starting_after: the id of a dispute; the page begins with the next older one.

    Raises:
        DisputeNotFound: no such dispute to continue from.
    """
    asked = disputes.select().where(disputes.c.site_id == site_id)
    if is_open:
        asked = asked.where(disputes.c.state.not_in(sorted(_OVER)))
    if payment_id is not None:
        asked = asked.where(disputes.c.payment_id == payment_id)
    if starting_after is not None:
        asked = asked.where(disputes.c.number < (await _read(reader, site_id, starting_after)).number)
    rows = await reader.all(asked.order_by(disputes.c.number.desc()).limit(limit + 1))
    return DisputePage([dispute_of(row) for row in rows[:limit]], len(rows) > limit)


async def open_disputes(reader: Reader, site_id: int, *, limit: int = 100) -> list[Dispute]:
    """Disputes of a site that are not decided, the first to be due first."""
    rows = await reader.all(
        disputes.select()
        .where(disputes.c.site_id == site_id, disputes.c.state.not_in(sorted(_OVER)))
        .order_by(disputes.c.due_at.nulls_last(), disputes.c.number)
        .limit(limit)
    )
    return [dispute_of(row) for row in rows]


def _fits(found: Payment, amount: Money) -> bool:
    return amount.currency == found.amount.currency and 0 < amount.minor <= found.captured.minor


async def _known(tx: Transaction, found: Payment, reference: str) -> Dispute | None:
    row = await tx.first(
        disputes.select()
        .where(
            disputes.c.site_id == found.site_id,
            disputes.c.account == found.account,
            disputes.c.dispute_reference == reference,
        )
        .with_for_update(key_share=True)
    )
    return dispute_of(row) if row else None


async def _opened(
    tx: Transaction,
    found: Payment,
    told: providers.DisputeReport,
    state: DisputeState,
    at: datetime,
) -> Dispute:
    dispute_id = ids.new("dsp", at=at)
    posted = told.amount.minor if state in _TAKING else 0
    await tx.execute(
        disputes.insert().values(
            site_id=found.site_id,
            dispute_id=dispute_id,
            number=select(payment_numbers.next_value()).scalar_subquery(),
            payment_id=found.payment_id,
            account=found.account,
            dispute_reference=told.dispute_reference,
            state=state,
            amount_minor=told.amount.minor,
            currency=told.amount.currency,
            posted_minor=posted,
            reason=told.reason,
            due_at=told.due_at,
            opened_at=at,
            changed_at=at,
            closed_at=at if state in _OVER else None,
        )
    )
    made = await _read(tx, found.site_id, dispute_id)
    if posted:
        await _take(tx, found, made, told.amount, at)
    await _settle_deposit(tx, found, at)
    await tell_dispute(tx, found, None, made, at=at)
    return made


async def _followed(
    tx: Transaction,
    found: Payment,
    before: Dispute,
    told: providers.DisputeReport,
    state: DisputeState,
    at: datetime,
) -> Dispute:
    """The next word about a known dispute; its sum may change while nothing is taken by it."""
    is_repeated, is_same_sum = state is before.state, told.amount == before.amount
    if not is_same_sum and (before.posted.minor or (is_repeated and state is not D.EARLY_WARNING)):
        await _call(tx, found, Attention.AMOUNT_DIFFERS, told, at)
    elif not is_repeated and state not in DISPUTE_NEXT[before.state]:
        await _call(tx, found, Attention.ILLEGAL_CHANGE, told, at)
    elif not (is_repeated and is_same_sum):
        return await _moved(tx, found, before, state, at, told.amount, reason=told.reason, due_at=told.due_at)
    return before


async def _moved(
    tx: Transaction,
    found: Payment,
    before: Dispute,
    state: DisputeState,
    at: datetime,
    amount: Money,
    *,
    reason: str = "",
    due_at: datetime | None = None,
) -> Dispute:
    posted = before.posted
    if state in _TAKING and posted.minor == 0:
        posted = amount
        await _take(tx, found, before, posted, at)
    elif state is D.WON and posted.minor:
        await _give(tx, found, before, posted, at)
        posted = Money(0, posted.currency)
    values = {
        "state": state,
        "amount_minor": amount.minor,
        "posted_minor": posted.minor,
        "reason": reason or before.reason,
        "sequence": before.sequence + 1,
        "due_at": due_at,
        "changed_at": at,
        "closed_at": at if state in _OVER else None,
    }
    its = (disputes.c.site_id == found.site_id) & (disputes.c.dispute_id == before.dispute_id)
    await tx.execute(update(disputes).where(its).values(values))
    after = await _read(tx, found.site_id, before.dispute_id)
    await _settle_deposit(tx, found, at)
    await tell_dispute(tx, found, before, after, at=at)
    return after


async def _take(tx: Transaction, found: Payment, its: Dispute, amount: Money, at: datetime) -> None:
    """The provider has taken it: from the player as far as it is there, or in seamless mode the merchant."""
    site = await merchants.site(tx, found.site_id)
    key = f"{its.dispute_id}:taken-{its.sequence}"
    if site.wallet_mode is merchants.WalletMode.SEAMLESS:
        await _post(tx, found, key, ledger.CHARGEBACK.from_merchant, amount, at)
    else:
        await ledger.take(tx, found.site_id, _demand(found, key, amount), at=at)
    now_is = await payment(tx, found.site_id, found.payment_id)
    # What is refunded, or on its way there, was taken a second time: people look, the figures stay true.
    room = min(now_is.remaining, amount)
    await remember(tx, found, {"charged_back_minor": (now_is.charged_back + room).minor})
    if room < amount:
        why = Cause("dispute", amount=amount, provider_reference=its.dispute_reference)
        step = Step(attention=Attention.TAKEN_BACK)
        await carry_out(tx, await payment(tx, found.site_id, found.payment_id), step, why, at=at)


async def _give(tx: Transaction, found: Payment, its: Dispute, amount: Money, at: datetime) -> None:
    """The dispute is won: a new entry, never an edit of the old one."""
    site = await merchants.site(tx, found.site_id)
    key = f"{its.dispute_id}:back-{its.sequence}"
    if site.wallet_mode is merchants.WalletMode.SEAMLESS:
        await _post(tx, found, key, ledger.CHARGEBACK.to_merchant, amount, at)
    else:
        await ledger.give(tx, found.site_id, _demand(found, key, amount), at=at)
    now_is = await payment(tx, found.site_id, found.payment_id)
    # It may have counted for less than its sum (see _take): what other disputes took stays.
    known = await disputes_of(tx, found.site_id, found.payment_id)
    others = sum(one.posted.minor for one in known if one.dispute_id != its.dispute_id)
    left = min(now_is.charged_back.minor, others)
    await remember(tx, found, {"charged_back_minor": left})


async def _settle_deposit(tx: Transaction, found: Payment, at: datetime) -> None:
    """Lost in full is charged back; won after that, or in part, the deposit is completed again."""
    now_is = await payment(tx, found.site_id, found.payment_id)
    known = await disputes_of(tx, found.site_id, found.payment_id)
    lost = sum(one.posted.minor for one in known if one.state in _LOST)
    left = now_is.captured - now_is.refunded - now_is.charged_back
    cause = Cause("dispute", detail={"disputes": [one.dispute_id for one in known]})
    is_gone = left.minor == 0 and lost > 0 and all(one.state not in _UNDECIDED for one in known)
    if now_is.status is Status.COMPLETED and is_gone:
        await carry_out(tx, now_is, Step((SubStatus.CHARGED_BACK,)), cause, at=at)
    elif now_is.sub_status is SubStatus.CHARGED_BACK and not is_gone:
        await carry_out(tx, now_is, Step((SubStatus.COMPLETED,)), cause, at=at)


async def _call(
    tx: Transaction, found: Payment, why: Attention, told: providers.DisputeReport, at: datetime
) -> None:
    cause = Cause("dispute", told.stage.value, told.reason, told.amount, told.dispute_reference)
    await carry_out(tx, found, Step(attention=why), cause, at=at)


async def _read(reader: Reader, site_id: int, dispute_id: str) -> Dispute:
    row = await reader.first(
        disputes.select().where(disputes.c.site_id == site_id, disputes.c.dispute_id == dispute_id)
    )
    if row is None:
        raise DisputeNotFound
    return dispute_of(row)


def _demand(found: Payment, key: str, amount: Money) -> ledger.Demand:
    return ledger.Demand(
        _SOURCE, key, ledger.CHARGEBACK, amount, found.player_id, found.account, found.payment_id
    )


async def _post(
    tx: Transaction, found: Payment, key: str, movement: ledger.Movement, amount: Money, at: datetime
) -> None:
    out = movement.target is ledger.Purpose.PROVIDER_CLEARING
    owners = ("site", found.account) if out else (found.account, "site")
    request = ledger.PostRequest(_SOURCE, key, movement, amount, *owners, because=found.payment_id)
    [posted] = await ledger.post(tx, found.site_id, [request], at=at)
    assert posted.is_posted, "the merchant's and the provider's accounts have no floor"
