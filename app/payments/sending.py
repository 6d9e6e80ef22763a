"""Sending an approved withdrawal: each try is written before it is sent, and no doubt ever sends another.

    approved  -> allocated -> submitted   the try is written with its reference     (attempt, one live a leg)
    submitted -> ...                      the provider's answer, notice or status   (the table decides)

A process that dies in between leaves a try of which nobody knows: the provider is asked about it, and only
where it says that it never heard of it, the same order is sent again under the same reference.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import update

from app import providers
from app.kernel import ids
from app.kernel.errors import Refusal
from app.payments.approvals import is_ready, why_unapproved
from app.payments.cascade import (
    may_be_repeated,
    says_nothing_came,
    why_doubted,
    why_not_nothing,
    why_questioned,
    why_said_paid,
)
from app.payments.changes import Cause
from app.payments.leg_steps import apply_to_leg
from app.payments.legs import Leg, attempts_of, content_of, legs_of, payout, policy, present_try
from app.payments.liquidity import Funding, elsewhere, funding_of, switched_on, why_not_funded, why_off
from app.payments.model import Attention, Source, Step
from app.payments.obstacles import await_initiation, hold_up, let_on, say_why, waits, why_held
from app.payments.queries import Attempt, Payment
from app.payments.rules import of_legs
from app.payments.schedules import ask_delay
from app.payments.states import Kind, LegState, Status, SubStatus
from app.payments.steps import call_about, carry_out, remember
from app.payments.tables import attempts, legs
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["WithdrawalsLocked", "ask_payout", "send"]

# Where a leg may wait to be sent; beside legs that are at the provider already, but not beside a conflict.
_AT_PROVIDER = frozenset({SubStatus.SUBMITTED, SubStatus.PROVIDER_PENDING, SubStatus.UNKNOWN})
_SENDING = _AT_PROVIDER | {SubStatus.APPROVED, SubStatus.ALLOCATED, SubStatus.PARTLY_PAID}
_CONFLICT = "another part of it is in conflict"


class WithdrawalsLocked(Refusal):
    """Withdrawals are not possible for this player at the moment. Support can say more."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be sent of one leg, and where."""

    attempt: Attempt
    order: providers.PayoutOrder
    account: providers.ProviderAccount


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was looked at before sending: of which legs at which accounts, and after which tries of theirs.

    Only of that it is known that nothing arrived before, and that the accounts have the money; and only where
    those that were asked about these tries were then.
    """

    goes_to: Mapping[int, str]
    tries: frozenset[str]
    beside: str = field(default="", compare=False)  # why legs wait of which that is not known
    asked: Sequence[providers.ProviderAccount] = field(default=(), compare=False)


def _seen(waiting: Sequence[Leg], tries: Sequence[Attempt]) -> _Seen:
    goes_to = {leg.leg: leg.account for leg in waiting}
    return _Seen(goes_to, frozenset(one.attempt_id for one in tries if one.leg in goes_to))


async def send(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Send every leg that waits, where nothing stands against it; safe at any time, however often."""
    async with pipes.database.reading() as reader:
        found = await payout(reader, site_id, payment_id)
        waiting = [leg for leg in await legs_of(reader, found) if waits(leg)]
        own = await switched_on(reader, site_id, {leg.account for leg in waiting})
        tries = await attempts_of(reader, found)
    if not waiting or found.sub_status not in _SENDING:
        return
    doubted, asked = await _doubted_legs(pipes, found, waiting, tries)
    waiting = [leg for leg in waiting if leg.leg not in doubted]
    beside = "; ".join(doubted.values())
    if not waiting:
        await _say_why(pipes, found, doubted.keys(), beside)
        return
    # What is asked about, or was said to be paid, takes no money from what can go; nor does it go itself,
    # should that end meanwhile.
    held = {one.leg for one in tries if one.is_questioned or one.said_paid}
    payable = [leg for leg in waiting if leg.leg not in held] or waiting
    seen = replace(_seen(payable, tries), beside=beside, asked=asked)
    funding = await funding_of(pipes, found, own, payable, tries)
    references = [ids.new("att", at=pipes.clock.now()) for _ in payable]

    async def begin(tx: Transaction) -> list[_Order]:
        return await _begin(tx, pipes, site_id, payment_id, references, funding, seen)

    for one in await pipes.database.retried(begin):
        result = await providers.gateway_of(one.account).pay_out(pipes.http, one.account, one.order)
        step = await _conclude(
            pipes, found, one.attempt, providers.judged(one.account, result), Source.ANSWER
        )
        if step.ask_again:
            await ask_payout(pipes, site_id, payment_id)


async def ask_payout(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Ask the provider what became of each try, and let its answers count; safe however often."""
    async with pipes.database.reading() as reader:
        found = await payout(reader, site_id, payment_id)
        tries = await _worth_asking(reader, found)
        accounts = {
            name: await providers.account(reader, site_id, name) for name in {one.account for one in tries}
        }
    asked_at, words = pipes.clock.now(), []
    for one in tries:
        account = accounts[one.account]
        result = await providers.gateway_of(account).status(pipes.http, account, one.attempt_id)
        words.append(providers.judged(account, result))
    lost = []
    for one, result in zip(tries, words, strict=True):
        step = await _conclude(pipes, found, one, result, Source.STATUS_QUERY, asked_at=asked_at)
        lost += [one] if step.send_again else []
    for one in lost:  # once each of them was heard: another may have been paid
        await _send_again(pipes, found, one, accounts.values())


async def _say_why(pipes: Pipes, found: Payment, doubted: Collection[int], why: str) -> None:
    """Say why legs wait of whose earlier tries it is not known that nothing came; their schedule asks on."""

    async def say(tx: Transaction) -> None:
        now_is = await payout(tx, found.site_id, found.payment_id, lock=True)
        if any(leg.leg in doubted and waits(leg) for leg in await legs_of(tx, now_is)):
            await say_why(tx, now_is, why)

    await pipes.database.retried(say)


async def _doubted_legs(
    pipes: Pipes, found: Payment, waiting: Sequence[Leg], tries: Sequence[Attempt]
) -> tuple[dict[int, str], list[providers.ProviderAccount]]:
    """Legs of which a provider does not say itself that each earlier try is nothing: no other follows there.

    That nothing left us is what our own side of the wire says. What the provider says counts as evidence. At
    another account one may follow as well while the earlier one can be reached as little as when it was sent.
    Each leg is money of its own: a doubt about one keeps no other back.

    Returns:
        by the leg's number why it waits, in words for staff; and the accounts as they were when asked.
    """
    doubted: dict[int, str] = {}
    async with pipes.database.reading() as reader:
        goes_to = {leg.leg: leg.account for leg in waiting}
        tries = [one for one in tries if one.leg in goes_to]
        accounts = {
            name: await providers.account(reader, found.site_id, name)
            for name in {one.account for one in tries}
        }
    for one in tries:
        account, asked_at = accounts[one.account], pipes.clock.now()
        result = await providers.gateway_of(account).status(pipes.http, account, one.attempt_id)
        word = (providers.judged(account, result), Source.STATUS_QUERY)
        await _conclude(pipes, found, one, *word, asked_at=asked_at)
        leg = one.leg or 0
        never_left = one.never_left and one.account != goes_to[leg]
        if not says_nothing_came(one, result, never_left=never_left):
            doubted[leg] = why_not_nothing(one)
    return doubted, list(accounts.values())


async def _worth_asking(reader: Reader, found: Payment) -> list[Attempt]:
    """Tries that may still act, and those whose place another one has, an earlier one too: theirs is news.

    Of a payout that is over, or in doubt for people, all of them.
    """
    tries = await attempts_of(reader, found)
    if found.status is Status.PROCESSING and found.attention is None:
        parts = {part.leg: part for part in await legs_of(reader, found)}
        present = {
            present_try(parts[leg], [one for one in tries if one.leg == leg]).attempt_id
            for leg in {one.leg or 0 for one in tries}
        }
        return [one for one in tries if not one.is_over or one.attempt_id not in present]
    return list(tries)


async def _begin(
    tx: Transaction,
    pipes: Pipes,
    site_id: int,
    payment_id: str,
    references: Sequence[str],
    funding: Funding,
    seen: _Seen,
) -> list[_Order]:
    """Write the tries that will be sent now; none when something stands against it.

    None either where of those that were looked at one is not due any more, or has another try: somebody has
    sent it meanwhile; or where an account has moved since it was asked: the next turn asks it there. Who
    waits besides was not looked at, and has a question of its own.
    """
    at = pipes.clock.now()
    found = await payout(tx, site_id, payment_id, lock=True)
    rules = await policy(tx, site_id, found.amount.currency)
    if found.sub_status not in _SENDING:
        return []
    if not is_ready(found, rules):
        await await_initiation(tx, found, rules, at=at)
        return []
    if found.sub_status is SubStatus.APPROVED and found.expires_at:  # should its word be wanted once more
        found = await remember(tx, found, {"expires_at": None})
    parts = await legs_of(tx, found)
    tries = await attempts_of(tx, found)
    waiting = [part for part in parts if waits(part) and part.leg in seen.goes_to]
    if _seen(waiting, tries) != seen or await providers.have_moved(tx, seen.asked):
        return []
    if unapproved := await why_unapproved(tx, found, content_of(found, parts)):
        await carry_out(tx, found, Step(attention=Attention.ILLEGAL_CHANGE), Cause("system"), at=at)
        await hold_up(tx, found, unapproved, at=at)
        return []
    its = [one for one in tries if one.attempt_id in seen.tries]
    found = await _called_about(tx, found, [one for one in its if one.said_paid], at)
    doubted = {one.leg for one in its if one.said_paid or one.is_questioned}
    waiting = [part for part in waiting if part.leg not in doubted]
    why = await why_held(tx, found) or ("" if waiting else why_said_paid(its) or why_questioned(its))
    why = why or await why_not_funded(tx, found, waiting, tries, funding)
    if why:
        await hold_up(tx, found, "; ".join(filter(None, (why, seen.beside))), at=at)
        return []
    orders = await _write_tries(tx, pipes, found, waiting, tries, references, funding, at)
    if orders:
        sent = {one.attempt.leg for one in orders}
        states = [LegState.SUBMITTED if part.leg in sent else part.state for part in parts]
        await _under_way(tx, found, states, elsewhere(waiting, funding), at)
        beside = seen.beside or why_said_paid(its) or why_questioned(its)
        if beside:  # of the rest of it
            await say_why(tx, found, beside)
    return orders


async def _called_about(
    tx: Transaction, found: Payment, said_paid: Sequence[Attempt], at: datetime
) -> Payment:
    """A payout of which people know of each leg that a provider has said that it paid, and says no more.

    They decide, and nobody else is asked for that leg.
    """
    is_news = found.attention is None  # noted, and it waits all the same
    for one in {one.leg: one for one in said_paid}.values():
        await call_about(tx, found, one, Attention.DENIED_AFTER_SUCCESS, is_news=is_news, at=at)
        found = await payout(tx, found.site_id, found.payment_id)
    return found


async def _write_tries(
    tx: Transaction,
    pipes: Pipes,
    found: Payment,
    waiting: Sequence[Leg],
    tries: Sequence[Attempt],
    references: Sequence[str],
    funding: Funding,
    at: datetime,
) -> list[_Order]:
    busy = {one.leg for one in tries if not one.is_over or one.is_questioned or one.said_paid}
    orders = []
    waiting = [part for part in waiting if part.leg not in busy]
    for number, (planned, reference) in enumerate(zip(waiting, references, strict=False), len(tries) + 1):
        leg = replace(planned, account=funding.instead.get(planned.leg, planned.account))
        account = await providers.account(tx, found.site_id, leg.account, held=True)
        attempt = Attempt(reference, found.payment_id, leg.account, leg.leg, is_over=False)
        await tx.execute(
            attempts.insert().values(
                site_id=found.site_id,
                attempt_id=reference,
                payment_id=found.payment_id,
                leg=leg.leg,
                number=number,
                account=leg.account,
                sent_at=at,
            )
        )
        its = (legs.c.site_id == found.site_id) & (legs.c.payment_id == found.payment_id)
        await tx.execute(
            update(legs)
            .where(its, legs.c.leg == leg.leg)
            .values(state=LegState.SUBMITTED, sent_at=at, account=leg.account, present_attempt=reference)
        )
        orders.append(_Order(attempt, _order(pipes, found, leg, reference), account))
    return orders


async def _under_way(
    tx: Transaction, found: Payment, states: Sequence[LegState], detail: dict[str, object], at: datetime
) -> None:
    """Say that something of it is at the provider, for all that the provider has said of the rest."""
    changes: dict[str, object] = {"ask_at": at + ask_delay(Kind.PAYOUT, 0)}
    target = of_legs(states)
    path: tuple[SubStatus, ...] = () if target is found.sub_status else (target,)
    if found.sub_status is SubStatus.APPROVED:
        path = (SubStatus.ALLOCATED, SubStatus.SUBMITTED)
        # Its first: when each part left is kept with the part. Nobody waits for the merchant's word any more.
        changes |= {"sent_at": at, "expires_at": None}
    if path and (found.sub_status is SubStatus.APPROVED or found.waits_because):
        # What was counted while we held it is no question to the provider. What is sent again because nothing
        # left us goes on with the longer pauses.
        changes["asked"] = 0
    detail = detail if path else {**detail, "sent": True}
    if found.waits_because:
        changes |= {"reason_code": "", "reason": ""}
    await carry_out(tx, found, Step(path), Cause("system", changes=changes, detail=detail), at=at)


def _order(pipes: Pipes, found: Payment, leg: Leg, reference: str) -> providers.PayoutOrder:
    return providers.PayoutOrder(
        reference=reference,
        amount=leg.amount,
        method=leg.method,
        destination=leg.destination,
        description=f"{found.number}",
        player_reference=found.player_id,
        language=found.language,
        notice_url=f"{pipes.public_url}/notices/{found.site_id}/{leg.account}",
    )


async def _conclude(
    pipes: Pipes,
    found: Payment,
    attempt: Attempt,
    result: providers.Result,
    source: Source,
    *,
    asked_at: datetime | None = None,
) -> Step:
    async def conclude(tx: Transaction) -> Step:
        now_is = await payout(tx, found.site_id, found.payment_id, lock=True)
        at = pipes.clock.now()
        step = await apply_to_leg(tx, now_is, attempt, result, source, at=at, asked_at=asked_at)
        if SubStatus.ALLOCATED in step.path:
            # Nothing left us: the queue's own schedule, not the provider's.
            await remember(tx, now_is, {"ask_at": pipes.clock.now() + ask_delay(Kind.PAYOUT, now_is.asked)})
        return step

    return await pipes.database.retried(conclude)


async def _send_again(
    pipes: Pipes, found: Payment, attempt: Attempt, asked: Collection[providers.ProviderAccount]
) -> None:
    """Send the very same order once more: the provider says that it does not know it.

    Where it knew it before, or that was long ago, people look. What holds a first sending holds this one as
    well, and it waits for the end of that. Where one of the accounts has moved since they were `asked`, about
    this try or another, the next turn asks it there first.
    """
    at = pipes.clock.now()

    async def ready(tx: Transaction) -> _Order | None:
        now_is = await payout(tx, found.site_id, found.payment_id, lock=True)
        [leg] = [part for part in await legs_of(tx, now_is) if part.leg == attempt.leg]
        if leg.state is not LegState.UNKNOWN:
            return None  # somebody heard of it meanwhile
        if await providers.have_moved(tx, asked):
            return None
        account = await providers.account(tx, now_is.site_id, attempt.account, held=True)
        others = [one for one in await attempts_of(tx, now_is) if one.leg == attempt.leg]
        [its] = [one for one in others if one.attempt_id == attempt.attempt_id]
        if not may_be_repeated(its, leg.sent_at, at):
            gone = Step(attention=Attention.ORDER_VANISHED)
            await carry_out(tx, now_is, gone, Cause("system", attempt_id=attempt.attempt_id), at=at)
            return None
        why = await why_held(tx, now_is) or (_CONFLICT if now_is.sub_status is SubStatus.CONFLICTED else "")
        why = why or why_doubted(others, besides=attempt.attempt_id)
        why = why or await why_unapproved(tx, now_is, content_of(now_is, await legs_of(tx, now_is)))
        why = why or await why_off(tx, now_is.site_id, {attempt.account})
        if why:
            await hold_up(tx, now_is, why, at=at)
            return None
        await let_on(tx, now_is)
        return _Order(attempt, _order(pipes, found, leg, attempt.attempt_id), account)

    again = await pipes.database.retried(ready)
    if again is not None:
        result = await providers.gateway_of(again.account).pay_out(pipes.http, again.account, again.order)
        await _conclude(pipes, found, attempt, providers.judged(again.account, result), Source.ANSWER)
