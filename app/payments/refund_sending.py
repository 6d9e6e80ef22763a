"""Sending an approved refund and asking about it: the try is written first, and no doubt sends another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app import providers
from app.kernel import ids
from app.payments.approvals import why_unapproved
from app.payments.cascade import (
    may_be_repeated,
    says_nothing_came,
    why_doubted,
    why_not_nothing,
    why_questioned,
    why_said_paid,
)
from app.payments.changes import Cause
from app.payments.given_back import why_not_refunded
from app.payments.legs import attempts_of
from app.payments.liquidity import why_off
from app.payments.model import Attention, Source, Step
from app.payments.obstacles import hold_up, let_on, say_why
from app.payments.queries import Attempt, Payment
from app.payments.refund_requests import refund, refund_content
from app.payments.refund_steps import apply_to_refund, deposit_of
from app.payments.schedules import ask_delay
from app.payments.states import Kind, SubStatus
from app.payments.steps import call_about, carry_out, remember
from app.payments.tables import attempts
from app.plumbing import switches
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["REFUNDS", "carry_on_refund"]

REFUNDS = "refunds"  # the stop switch that sending obeys

_Asked = Mapping[str, providers.ProviderAccount]  # by the try's id, the account as it was when asked about it


async def carry_on_refund(pipes: Pipes, site_id: int, refund_id: str) -> None:
    """Do whatever is due of a refund: send it, or ask the provider; safe at any time, however often."""
    async with pipes.database.reading() as reader:
        found = await refund(reader, site_id, refund_id)
    if found.sub_status is SubStatus.APPROVED:
        await _send(pipes, found)
    elif found.sent_at is not None:
        await _ask(pipes, found)


async def _send(pipes: Pipes, found: Payment) -> None:
    async with pipes.database.reading() as reader:
        tries = await attempts_of(reader, found)
    asked = await _nothing_arrived(pipes, found, tries)
    if asked is None:
        return
    reference = ids.new("att", at=pipes.clock.now())

    async def begin(tx: Transaction) -> tuple[providers.ProviderAccount, providers.RefundOrder] | None:
        return await _begin(tx, pipes, found, reference, asked)

    begun = await pipes.database.retried(begin)
    if begun is None:
        return
    attempt = Attempt(reference, found.payment_id, found.account, None, is_over=False)
    await _place(pipes, found, attempt, *begun)


async def _nothing_arrived(pipes: Pipes, found: Payment, tries: Sequence[Attempt]) -> _Asked | None:
    """Who was asked, where the provider itself says of each earlier try that it is nothing; else None.

    Only then another may follow. That nothing left us is what our own side of the wire says. What the
    provider says counts as evidence.
    """
    asked = {}
    for one in tries:
        async with pipes.database.reading() as reader:
            account = await providers.account(reader, found.site_id, one.account)
        asked[one.attempt_id], asked_at = account, pipes.clock.now()
        result = await providers.gateway_of(account).status(pipes.http, account, one.attempt_id)
        result = providers.judged(account, result)
        await _conclude(pipes, found, one, result, Source.STATUS_QUERY, asked_at=asked_at)
        if not says_nothing_came(one, result, never_left=False):
            await _say_why(pipes, found, why_not_nothing(one))
            return None
    return asked


async def _say_why(pipes: Pipes, found: Payment, why: str) -> None:
    """Say why it waits, if it still does; its schedule asks on."""

    async def say(tx: Transaction) -> None:
        now_is = await refund(tx, found.site_id, found.payment_id, lock=True)
        if now_is.sub_status is SubStatus.APPROVED:
            await say_why(tx, now_is, why)

    await pipes.database.retried(say)


async def _begin(
    tx: Transaction, pipes: Pipes, before: Payment, reference: str, asked: _Asked
) -> tuple[providers.ProviderAccount, providers.RefundOrder] | None:
    """Write the try that will be sent now, and where; None when something stands against it.

    None either where there are others than the `asked`, of which it is known that nothing arrived, or where
    the account has moved since: the next turn asks it there.
    """
    at = pipes.clock.now()
    found = await refund(tx, before.site_id, before.payment_id, lock=True)
    if found.sub_status is not SubStatus.APPROVED:
        return None
    if unapproved := await why_unapproved(tx, found, refund_content(found)):
        await carry_out(tx, found, Step(attention=Attention.ILLEGAL_CHANGE), Cause("system"), at=at)
        await hold_up(tx, found, unapproved, at=at)
        return None
    tries = await attempts_of(tx, found)
    if {one.attempt_id for one in tries} != asked.keys() or await providers.have_moved(tx, asked.values()):
        return None
    why = await _why_stopped(tx, found) or why_questioned(tries)
    if why:
        await hold_up(tx, found, why, at=at)
        return None
    said_paid = [one for one in tries if one.said_paid]
    if said_paid:
        is_news = found.attention is None  # noted, and it waits all the same
        denied = (said_paid[-1], Attention.DENIED_AFTER_SUCCESS)
        await call_about(tx, found, *denied, is_news=is_news, at=at)
        await hold_up(tx, found, why_said_paid(said_paid), at=at)
        return None
    account = await providers.account(tx, found.site_id, found.account, held=True)
    order = await _order(tx, pipes, found, reference)
    await tx.execute(
        attempts.insert().values(
            site_id=found.site_id,
            attempt_id=reference,
            payment_id=found.payment_id,
            number=len(tries) + 1,
            account=found.account,
            sent_at=at,
        )
    )
    # What was counted while it waited in the queue is no question to the provider.
    sent = {"sent_at": at, "asked": 0, "ask_at": at + ask_delay(Kind.REFUND, 0), "present_attempt": reference}
    cause = Cause("system", changes=sent)
    await carry_out(tx, found, Step((SubStatus.SUBMITTED,)), cause, at=at)
    return account, order


async def _why_stopped(tx: Transaction, found: Payment) -> str:
    """Why nothing is sent of a refund at present, in words for staff; empty where nothing is in its way."""
    if await switches.is_stopped(tx, found.site_id, REFUNDS):
        return "refunds are stopped"
    off = await why_off(tx, found.site_id, {found.account})
    if off:
        return off
    assert found.parent_id is not None
    return await why_not_refunded(tx, found.site_id, found.parent_id)


async def _order(tx: Transaction, pipes: Pipes, found: Payment, reference: str) -> providers.RefundOrder:
    deposit = await deposit_of(tx, found)
    taken = await attempts_of(tx, deposit)
    return providers.RefundOrder(
        reference=reference,
        original_reference=deposit.present_attempt or taken[-1].attempt_id,
        provider_reference=deposit.provider_reference or "",
        amount=found.amount,
        reason=f"{found.number}",
        notice_url=f"{pipes.public_url}/notices/{found.site_id}/{found.account}",
    )


async def _place(
    pipes: Pipes,
    found: Payment,
    attempt: Attempt,
    account: providers.ProviderAccount,
    order: providers.RefundOrder,
) -> None:
    result = await providers.gateway_of(account).refund(pipes.http, account, order)
    step = await _conclude(pipes, found, attempt, providers.judged(account, result), Source.ANSWER)
    if step.ask_again:
        await _ask(pipes, found)


async def _ask(pipes: Pipes, found: Payment) -> None:
    """Ask the provider about each try, an earlier one too: that it was paid after all is news at any time."""
    async with pipes.database.reading() as reader:
        tries = await attempts_of(reader, found)
        accounts = {one.account: await providers.account(reader, found.site_id, one.account) for one in tries}
    lost = []
    for one in tries:
        account, asked_at = accounts[one.account], pipes.clock.now()
        result = await providers.gateway_of(account).status(pipes.http, account, one.attempt_id)
        word = (providers.judged(account, result), Source.STATUS_QUERY)
        step = await _conclude(pipes, found, one, *word, asked_at=asked_at)
        lost += [one] if step.send_again else []
    for one in lost:  # once each of them was heard: another may have been paid
        await _send_again(pipes, found, one, accounts.values())


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
        now_is = await refund(tx, found.site_id, found.payment_id, lock=True)
        at = pipes.clock.now()
        step = await apply_to_refund(tx, now_is, attempt, result, source, at=at, asked_at=asked_at)
        if step.path[-1:] == (SubStatus.APPROVED,):
            # Nothing left us: it waits in the queue again.
            again = at + ask_delay(Kind.REFUND, now_is.asked)
            await remember(tx, now_is, {"ask_at": again, "asked": now_is.asked + 1})
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

    async def ready(tx: Transaction) -> tuple[providers.ProviderAccount, providers.RefundOrder] | None:
        now_is = await refund(tx, found.site_id, found.payment_id, lock=True)
        if now_is.sub_status is not SubStatus.UNKNOWN:
            return None  # somebody heard of it meanwhile
        if await providers.have_moved(tx, asked):
            return None
        account = await providers.account(tx, now_is.site_id, attempt.account, held=True)
        others = await attempts_of(tx, now_is)
        [its] = [one for one in others if one.attempt_id == attempt.attempt_id]
        if not may_be_repeated(its, now_is.sent_at, at):
            gone = Step(attention=Attention.ORDER_VANISHED)
            await carry_out(tx, now_is, gone, Cause("system", attempt_id=attempt.attempt_id), at=at)
            return None
        why = await _why_stopped(tx, now_is) or why_doubted(others, besides=attempt.attempt_id)
        why = why or await why_unapproved(tx, now_is, refund_content(now_is))
        if why:
            await hold_up(tx, now_is, why, at=at)
            return None
        await let_on(tx, now_is)
        return account, await _order(tx, pipes, now_is, attempt.attempt_id)

    again = await pipes.database.retried(ready)
    if again is not None:
        await _place_again(pipes, found, attempt, *again)


async def _place_again(
    pipes: Pipes,
    found: Payment,
    attempt: Attempt,
    account: providers.ProviderAccount,
    order: providers.RefundOrder,
) -> None:
    result = providers.judged(account, await providers.gateway_of(account).refund(pipes.http, account, order))
    if result.nothing_was_sent:
        # This repeat never left, which says nothing of the first one.
        result = replace(result, nothing_was_sent=False)
    await _conclude(pipes, found, attempt, result, Source.ANSWER)
