"""Whether a payment that failed for certain at one provider account is tried at another, and why not.

`rules` says whether the evidence lets it, `providers.routing` which accounts may be next; here is read what
they must know. Asked only where an attempt ends, or where what waits cannot be paid at its own account: a
payment that is paid at its first account costs nothing more.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from app import merchants, methods, providers
from app.payments.evidence import decided_against
from app.payments.legs import Leg, attempts_of, was_in_doubt
from app.payments.model import Decided, Evidence, Facts, Source, Step
from app.payments.queries import Attempt, Payment, went_back
from app.payments.rules import why_last
from app.payments.states import Kind, Status, SubStatus
from app.plumbing.database import Reader, Transaction

__all__ = [
    "as_of_try",
    "at_its_account",
    "at_try",
    "columns_of_try",
    "may_be_next",
    "may_be_paid",
    "may_be_repeated",
    "next_held",
    "next_of_deposit",
    "next_of_leg",
    "says_nothing_came",
    "try_meant",
    "why_doubted",
    "why_not_nothing",
    "why_questioned",
    "why_said_paid",
]

_ENDS: Final = frozenset({SubStatus.DECLINED, SubStatus.UNDELIVERABLE, SubStatus.PROVIDER_ERROR})
# Nothing of it left us: of a payout, it waits in the queue.
_UNSENT: Final = frozenset({SubStatus.ALLOCATED})
# What a provider says of an order by which nothing was paid and nothing will be.
_NO: Final = frozenset({providers.State.FAILED, providers.State.CANCELLED})
# A provider that keeps its books for less than a day could take a repeat for a new order.
_SAME_ORDER_FOR: Final = timedelta(hours=24)
_CAME_BACK: Final = frozenset({providers.State.RETURNED, providers.State.REVERSED})
_SOON: Final = timedelta(minutes=1)  # should the job be lost that sends it on


async def next_of_deposit(
    tx: Transaction, found: Payment, facts: Facts, evidence: Evidence, step: Step
) -> tuple[Step, dict[str, object], dict[str, object]]:
    """What follows when this step would end a deposit: another attempt, where there may be one.

    The attempt itself is written when it is sent (`deposit_sending`); until then the payment says at which
    account, and evidence about the present one still counts.

    Returns:
        the step that is taken instead, the columns that change with it, and what its event says of why.
    """
    end = frozenset(step.path[-1:])
    if found.next_account is not None and end and end <= _ENDS | {SubStatus.UNKNOWN}:
        return Step(), {}, {}  # said once more, or a doubt about what was said: it goes on already
    if not end or not end <= _ENDS:
        return step, {}, {}
    route = await _route(tx, found, facts, evidence, None)
    if not route.account:
        return step, {}, {"why_last": route.why}
    changes: dict[str, object] = {"next_account": route.account, "continue_url": None}
    return (
        Step((SubStatus.SUBMITTED,), is_over=True, ask_again=True),
        changes,
        {"next_account": route.account, "after": found.account},
    )


async def next_of_leg(
    tx: Transaction, found: Payment, leg: Leg, facts: Facts, evidence: Evidence, step: Step, *, at: datetime
) -> tuple[Step, str, dict[str, object], dict[str, object]]:
    """The same for a part of a payout, which then waits in the queue for the next account.

    Returns:
        the step, the next account where there is one, columns of the payout, and what the event says.
    """
    end = frozenset(step.path[-1:])
    if not end or not end <= _ENDS | _UNSENT:
        return step, "", {}, {}
    route = await _route(tx, found, facts, evidence, leg)
    if not route.account:  # what waits in the queue is sent again where it was, and has not ended
        return step, "", {}, {} if end <= _UNSENT else {"why_last": route.why}
    onward = Step((SubStatus.ALLOCATED,), is_over=True)
    detail: dict[str, object] = {"next_account": route.account, "after": leg.account}
    return onward, route.account, {"ask_at": at + _SOON}, detail


async def may_be_next(
    reader: Reader, found: Payment, leg: Leg | None, tries: Collection[Attempt]
) -> providers.Route:
    """Which accounts may be asked next for a payment or for a part of it, and why others may not.

    That it may leave its own account is for the caller to know: of what was sent there, evidence says so.
    None may be where only its own account can pay, where anybody has ever said that it was paid, or where its
    method is offered no more; and no more of them, in the site's order, than the site lets be asked.

    Args:
        reader: a snapshot, or the transaction that holds the payment's lock.
        found: the payment, at its account.
        leg: the part of a payout; None for what has no parts.
        tries: every try of the payment.
    """
    own = leg.account if leg else found.account
    if leg is not None and "token" in leg.destination:
        return providers.Route(why=f"only {own} can pay to this card")
    its = [one for one in tries if leg is None or one.leg == leg.leg]
    why = why_said_paid(its)
    if why:
        return providers.Route(why=why)
    is_payout = found.kind is Kind.PAYOUT
    direction = methods.Direction.PAYOUT if is_payout else methods.Direction.DEPOSIT
    method, currency = leg.method if leg else found.method, found.amount.currency
    try:
        offer = await methods.offer(reader, found.site_id, currency, method, direction=direction)
    except methods.MethodUnavailable:
        return providers.Route(why="the method is offered no more")
    site = await merchants.site(reader, found.site_id)
    tried = {one.account for one in its}
    cap = providers.Cap.PAYOUT if is_payout else providers.Cap.DEPOSIT
    usable = await providers.able(
        reader, found.site_id, [one for one in offer.accounts if one not in tried], cap
    )
    route = providers.next_account(offer.accounts, tried, usable, most=site.most_attempts, own=own)
    if route.account and not is_payout and found.return_url is None:
        # The next provider could not send the player's browser back.
        return providers.Route(why="it was asked for with one account")
    return route


async def next_held(
    tx: Transaction, found: Payment, tries: Collection[Attempt]
) -> tuple[providers.ProviderAccount | None, str]:
    """The account at which a deposit is tried next, as `may_be_next` knows, held until the try is written.

    Returns:
        the account as it is now, or None; and why at none.
    """
    route = await may_be_next(tx, found, None, tries)
    for name in route.accounts:
        try:
            return await providers.account(tx, found.site_id, name, must_be_enabled=True, held=True), ""
        except providers.AccountNotFound:
            continue  # switched off in this very moment
    return None, route.why or f"switched off: {', '.join(route.accounts)}"


def may_be_paid(one: Attempt) -> bool:
    """Whether money of a try may be gone though another one has its place; what came back is here again."""
    return one.is_questioned or (one.said_paid and one.state not in _CAME_BACK)


def may_be_repeated(one: Attempt, sent_at: datetime | None, at: datetime) -> bool:
    """Whether an order that its provider does not know may be sent once more, under the same reference.

    Within a day; and never where it has said anything else of it, or told its number: it had the order then,
    and may have carried it out before it lost it.

    Args:
        one: the try, as it is now.
        sent_at: when it left; None: nobody knows.
        at: this instant.
    """
    is_recent = sent_at is not None and at - sent_at <= _SAME_ORDER_FOR
    return is_recent and not one.was_heard_of


def why_said_paid(tries: Sequence[Attempt]) -> str:
    """Why no other account is asked where one of those that were has ever said that it was paid.

    Whatever it says now, and whatever people have noted about it: the money may be there. Empty where none
    has.
    """
    return next((f"{one.account} said before that it was paid" for one in tries if one.said_paid), "")


def why_questioned(tries: Sequence[Attempt]) -> str:
    """Why nothing is sent in the place of a try of which somebody has said that it is not over after all.

    Until its provider has answered, or people have decided. Empty where there is none.
    """
    asked = next((one for one in tries if one.is_questioned), None)
    return f"{asked.account} is asked whether {asked.attempt_id} is over" if asked else ""


def why_doubted(tries: Sequence[Attempt], *, besides: str) -> str:
    """Why an order of which nobody can say whether it arrived is not sent a second time; or empty.

    Another try of the same may have been paid, or be under way after all.

    Args:
        tries: of the payment, or of the part of a withdrawal.
        besides: the try whose order it is.
    """
    others = [one for one in tries if one.attempt_id != besides]
    return why_said_paid(others) or why_questioned(others)


def says_nothing_came(one: Attempt, result: providers.Result, *, never_left: bool) -> bool:
    """Whether a provider, asked about an earlier attempt, leaves no doubt that nothing came of it.

    By its own no, or by the success once more of which two people have decided that there was none. Or it
    does not know the order, and has shown no knowledge of it before but by a no, or people have decided that
    it was not paid. Or it can be reached now as little as then, when no byte of the order left us.

    Args:
        one: the attempt, as it was before this answer.
        result: the answer.
        never_left: nothing of it left us, and what follows goes elsewhere.
    """
    if result.state is providers.State.NOT_FOUND:
        # Who said that it was paid, or is asked about, lets nothing follow anyway, and has cases of its own.
        is_held = one.said_paid or one.is_questioned
        is_denied = one.state in _NO or one.decided is Decided.NOT_PAID
        return is_denied or is_held or not one.was_heard_of
    is_outranked = decided_against(one, result, Source.STATUS_QUERY) is Decided.NOT_PAID
    return result.state in _NO or is_outranked or (never_left and result.nothing_was_sent)


def why_not_nothing(one: Attempt) -> str:
    """Why no other order follows an earlier try of which its provider leaves a doubt, in words for staff."""
    return f"{one.account} does not say that nothing came of {one.attempt_id}"


async def as_of_try(
    tx: Transaction, found: Payment, reference: str, result: providers.Result, source: Source
) -> tuple[Payment, Facts, dict[str, object]]:
    """A deposit as evidence about one of its tries finds it.

    A try is superseded while another that came after it was paid or still may be. Where nothing came by that
    one, a late word of an earlier try is about the deposit again, at the earlier one's account. Who decides
    with a proof speaks of the deposit, not of one of its tries.

    Returns:
        the deposit, what is known of it, and the columns that change should the evidence lead anywhere.
    """
    if source is Source.SETTLEMENT:
        return found, found.facts, columns_of_try(found)  # they may have matched it to an earlier try
    is_present = found.present_attempt in {None, reference}
    is_usual = found.status is Status.PROCESSING or not _may_be_outranked(found, result)
    if found.present_attempt is None and is_usual:
        return found, await _facts_of(tx, found), {}
    [one] = [one for one in await attempts_of(tx, found) if one.attempt_id == reference]
    against = decided_against(one, result, source)
    if is_present:
        return found, replace(await _facts_of(tx, found), against=against), {}
    if found.status is not Status.FAILED:
        its = replace(found.facts, is_superseded=True, is_still_open=not one.is_over, against=against)
        return found, its, {}
    found = at_try(found, one)
    return found, replace(found.facts, against=against), columns_of_try(found)


def _may_be_outranked(found: Payment, result: providers.Result) -> bool:
    """Whether people may have decided otherwise of a deposit that is over."""
    is_yes = result.state is providers.State.SUCCEEDED and found.status is not Status.COMPLETED
    return is_yes or result.state in _NO


async def _facts_of(tx: Transaction, found: Payment) -> Facts:
    """What is known of a deposit; of one whose money was returned, the sum of that."""
    is_returned = found.sub_status is SubStatus.REFUNDED and not found.captured.minor
    return replace(found.facts, went_back=await went_back(tx, found)) if is_returned else found.facts


def columns_of_try(found: Payment) -> dict[str, object]:
    """The columns that change where another try of a deposit becomes the present one."""
    return {"account": found.account, "present_attempt": found.present_attempt}


async def at_its_account(tx: Transaction, found: Payment, provider_reference: str | None) -> Payment:
    """A deposit as people let it be credited: what an earlier attempt brought is at that one's account.

    Known by the provider's number. Without one, or where the present attempt has it as well, or nobody, it is
    the present one's. Asked before anything that depends on the account: whose number it is, and the books.
    """
    if found.present_attempt is None or provider_reference is None:
        return found
    numbered = [one for one in await attempts_of(tx, found) if one.provider_reference == provider_reference]
    if not numbered or found.present_attempt in {one.attempt_id for one in numbered}:
        return found
    return at_try(found, numbered[-1])


def try_meant(
    tries: Sequence[Attempt], present: Attempt, number: str, known: str | None, *, is_earlier: bool
) -> Attempt:
    """The try that people speak of: the present one, or another one whose number they name, at any account.

    Args:
        tries: of the same payment, or part of it.
        present: the one that counts now.
        number: the provider's, of what they speak of; empty where there is none.
        known: the provider's number under which the present one was paid.
        is_earlier: the case is about another try than the present one, also where both have that number.
    """
    if not is_earlier and number in {"", known, present.provider_reference}:
        return present
    others = [one for one in tries if one.attempt_id != present.attempt_id]
    if number:
        numbered = [one for one in others if one.provider_reference == number]
        if numbered or not is_earlier or number in {known, present.provider_reference}:
            return (numbered or [present])[-1]
    # It said that it was paid, and under no number: then any that is named now may be its own.
    nameless = [one for one in others if one.said_paid and one.provider_reference is None]
    return nameless[0] if len(nameless) == 1 else present


def at_try(found: Payment, one: Attempt) -> Payment:
    """A deposit as it is once this try of it is the present one."""
    return replace(found, account=one.account, present_attempt=one.attempt_id)


async def _route(
    tx: Transaction, found: Payment, facts: Facts, evidence: Evidence, leg: Leg | None
) -> providers.Route:
    why = why_last(facts, evidence)
    if not why and facts.sent_at is not None:
        is_doubted = await was_in_doubt(tx, found, leg.leg if leg else None, facts.sent_at)
        why = "for a while nobody knew of it" if is_doubted else ""
    if why:
        return providers.Route(why=why)
    return await may_be_next(tx, found, leg, await attempts_of(tx, found))
