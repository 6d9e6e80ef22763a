"""A deposit at its providers: each try is written before it is sent, and what became of it is asked.

    submitted -> ...                      the provider's answer, notice or status  (the table decides)
    submitted, with a next account        one failed for certain                   (cascade)
              -> submitted                the next try is written, then sent       (here)

Whoever dies before a next try is written has sent nothing: a sweep, or who opens the payment, takes it up.
Once it is written it is never sent by another: its provider is asked. A provider's answer that must be asked
about is written with what the provider then says; who dies in between asks again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app import merchants, providers
from app.kernel import ids
from app.kernel.errors import Refusal
from app.payments.cascade import next_held, says_nothing_came
from app.payments.changes import Cause
from app.payments.evidence import evidence_of
from app.payments.legs import attempts_of
from app.payments.model import Source, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.questions import question_at_end
from app.payments.rules import next_step
from app.payments.schedules import ask_delay
from app.payments.states import Kind, Status, SubStatus
from app.payments.steps import Left, apply_alone, apply_evidence, carry_out, remember
from app.payments.tables import attempts
from app.plumbing import switches
from app.plumbing.database import Built, Reader, Transaction, Write
from app.plumbing.pipes import Pipes

__all__ = ["DEPOSITS", "PageNotAllowed", "ask_provider", "collect", "page_to_pay", "written_try"]

DEPOSITS = "deposits"  # the stop switch that requests and further tries obey
# What a provider may say at the end of the player's time without deciding anything.
_UNDECIDED = frozenset(
    {
        providers.State.REQUIRES_ACTION,
        providers.State.CANCELLED,
        providers.State.NOT_FOUND,
        providers.State.UNKNOWN,
    }
)
_TRY = Built(attempts.insert())  # built once: every deposit runs it


class PageNotAllowed(Refusal):
    """The provider's page for this payment is none to which players are sent any more."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A try at the next account, written and not yet sent."""

    found: Payment
    site: merchants.Site
    account: providers.ProviderAccount
    reference: str


def written_try(found: Payment, reference: str, account: str, number: int, at: datetime) -> Write:
    """What keeps a try of a deposit: written before it is sent.

    Args:
        found: the deposit.
        reference: the try's id, ours at the provider.
        account: the provider account.
        number: 1, 2, ... of the deposit's tries.
        at: this instant.
    """
    row = {
        "site_id": found.site_id,
        "attempt_id": reference,
        "payment_id": found.payment_id,
        "number": number,
        "account": account,
        "sent_at": at,
    }
    return _TRY, row


async def page_to_pay(reader: Reader, found: Payment) -> str | None:
    """The provider's page to which a deposit's player is to go now; None: he is not awaited anywhere.

    Raises:
        PageNotAllowed: its address was taken from the provider, and the account's page origin has been
            changed since: whoever has tightened it knows why.
    """
    if found.continue_url is None:
        return None
    account = await providers.account(reader, found.site_id, found.account)
    if not providers.is_own_page(account, found.continue_url):
        raise PageNotAllowed
    return found.continue_url


async def collect(
    pipes: Pipes,
    site: merchants.Site,
    account: providers.ProviderAccount,
    found: Payment,
    reference: str,
    return_url: str,
    *,
    left: Left | None = None,
) -> None:
    """Send the order of a try that is written, let the answer count, and go on to the next account or ask.

    Args:
        pipes: the pipes.
        site: the deposit's.
        account: where the try goes.
        found: the deposit.
        reference: the try's id.
        return_url: where the provider sends the player's browser afterwards.
        left: the deposit as it was left with the try written, if that is known.
    """
    order = _order(pipes, site, found, account.account, reference, return_url)
    gateway = providers.gateway_of(account)
    answer = providers.judged(account, await gateway.deposit(pipes.http, account, order))
    words, asked_at = [(answer, Source.ANSWER)], pipes.clock.now()
    sent = replace(found.facts, sub_status=SubStatus.SUBMITTED, sent_at=asked_at)
    is_asked = next_step(sent, evidence_of(answer, Source.ANSWER, asked_at)).ask_again
    if is_asked:
        # It must be asked before that counts. What it says both times is written once, as said when asked.
        status = providers.judged(account, await gateway.status(pipes.http, account, reference))
        words = [*(words if _differ(answer, status) else ()), (status, Source.STATUS_QUERY)]
    now = pipes.clock.now()

    async def heard_of(tx: Transaction) -> Step:
        step, before = Step(), None
        for result, source in words:
            now_is = await payment(tx, site.site_id, found.payment_id, lock=True)
            before = before or now_is
            since = asked_at if source is Source.STATUS_QUERY else None
            word = (reference, result, source)
            step = await apply_evidence(tx, now_is, *word, at=now, asked_at=since, before=before)
        return step

    step = None
    if left is not None and not is_asked:
        step = await apply_alone(pipes.database, left, reference, answer, at=now)
    if step is None:
        step = await pipes.database.retried(heard_of)
    await _follow(pipes, found, account, reference, step)


async def ask_provider(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Ask the provider what became of a deposit, and let its answer count; safe at any time, however often.

    Of one that was tried at several accounts each of them is asked. What an earlier one says is for people
    while the present try was paid or still may be; a deposit that has failed is credited by it.
    One that waits for its next account is sent there, once the earlier ones say that nothing came of theirs.
    Once one was paid, the page of another that is open still is cancelled at its provider, where it can be.
    A deposit whose time has run out while the player was awaited ends as expired, unless the provider says
    otherwise.
    """
    async with pipes.database.reading() as reader:
        found = await payment(reader, site_id, payment_id)
        tries = await attempts_of(reader, found)
        if not tries:
            return
        accounts = {
            name: await providers.account(reader, site_id, name) for name in {one.account for one in tries}
        }
    if found.next_account is not None:
        if _is_over(found, pipes.clock.now()) or await _nothing_came(pipes, found, tries, accounts):
            await _send_on(pipes, found, tries[-1].attempt_id, accounts.values())
        return
    asked_at = pipes.clock.now()
    words = [
        await _said_of(pipes, found, accounts[one.account], one.attempt_id, is_left=_is_left(found, one))
        for one in tries
    ]
    for one, result in zip(tries, words, strict=True):
        await _heard(pipes, found, one.attempt_id, result, accounts.values(), asked_at=asked_at)


async def _follow(
    pipes: Pipes, found: Payment, account: providers.ProviderAccount, reference: str, step: Step
) -> None:
    """What is due at once after a step of a deposit."""
    if step.path[-1:] == (SubStatus.SUBMITTED,):
        await _send_on(pipes, found, reference, [account])
    elif step.ask_again:
        await _ask_of(pipes, found, account, reference)


async def _ask_of(pipes: Pipes, found: Payment, account: providers.ProviderAccount, reference: str) -> None:
    asked_at = pipes.clock.now()
    result = await _said_of(pipes, found, account, reference)
    await _heard(pipes, found, reference, result, [account], asked_at=asked_at)


async def _said_of(
    pipes: Pipes,
    found: Payment,
    account: providers.ProviderAccount,
    reference: str,
    *,
    is_left: bool = False,
) -> providers.Result:
    """What a try's provider says of it; where nobody is to pay there any more it is told to forget the order.

    So that its page takes no more money; should the player have paid in this very moment, the answer says so.
    The player's time is over, or the page was left open (`is_left`) when another try was paid.
    """
    gateway = providers.gateway_of(account)
    result = providers.judged(account, await gateway.status(pipes.http, account, reference))
    is_present = found.present_attempt in {None, reference}
    is_to_end = is_left or (is_present and _is_over(found, pipes.clock.now()))
    can_end = providers.Cap.CANCEL in gateway.caps
    if is_to_end and can_end and result.state is providers.State.REQUIRES_ACTION:
        ended = providers.judged(account, await gateway.cancel(pipes.http, account, reference))
        # Where that was not answered, the page is known to be open still.
        return result if is_left and ended.state is providers.State.UNKNOWN else ended
    return result


def _is_left(found: Payment, one: Attempt) -> bool:
    """Whether a try was under way when another was paid: its page may be open still."""
    is_other = found.present_attempt not in {None, one.attempt_id}
    return is_other and found.status in {Status.COMPLETED, Status.REFUNDED} and not one.is_over


async def _heard(
    pipes: Pipes,
    found: Payment,
    reference: str,
    result: providers.Result,
    asked: Collection[providers.ProviderAccount],
    *,
    asked_at: datetime,
) -> None:
    """Let what a try's provider says of it count, and go on to the next account where it says no."""
    site_id, payment_id, now = found.site_id, found.payment_id, pipes.clock.now()

    async def conclude(tx: Transaction) -> Step:
        found = await payment(tx, site_id, payment_id, lock=True)
        is_awaited = found.sub_status is SubStatus.AWAITING_PLAYER
        # The present try alone: another that was begun meanwhile has a page of its own, which is still open.
        is_awaited = is_awaited and found.present_attempt in {None, reference}
        if is_awaited and _is_over(found, now) and result.state in _UNDECIDED:
            cause = await _at_end(tx, found, Cause("clock"))
            await carry_out(tx, found, Step(path=(SubStatus.EXPIRED,)), cause, at=now)
            return Step()
        word = (reference, result, Source.STATUS_QUERY)
        return await apply_evidence(tx, found, *word, at=now, asked_at=asked_at)

    step = await pipes.database.retried(conclude)
    if step.path[-1:] == (SubStatus.SUBMITTED,):
        await _send_on(pipes, found, reference, asked)


async def _nothing_came(
    pipes: Pipes,
    found: Payment,
    tries: Sequence[Attempt],
    accounts: dict[str, providers.ProviderAccount],
) -> bool:
    """Whether every try's provider leaves no doubt that nothing came of it; what else it says counts."""
    for one in tries:
        account = accounts[one.account]
        gateway = providers.gateway_of(account)
        asked_at = pipes.clock.now()
        result = providers.judged(account, await gateway.status(pipes.http, account, one.attempt_id))
        if says_nothing_came(one, result, never_left=one.never_left):
            continue

        async def conclude(
            tx: Transaction,
            one: Attempt = one,
            result: providers.Result = result,
            asked_at: datetime = asked_at,
        ) -> None:
            now_is = await payment(tx, found.site_id, found.payment_id, lock=True)
            word = (one.attempt_id, result, Source.STATUS_QUERY)
            await apply_evidence(tx, now_is, *word, at=pipes.clock.now(), asked_at=asked_at)

        await pipes.database.retried(conclude)
        return False
    return True


async def _send_on(
    pipes: Pipes, found: Payment, after: str, asked: Collection[providers.ProviderAccount]
) -> None:
    """Try a deposit at its next account, or say why it ends here; of several at once, one does.

    Args:
        pipes: the pipes.
        found: the deposit.
        after: the try of which it is known that nothing came. Another that was begun and declined meanwhile
            is asked about first.
        asked: the accounts that said so, as they were then. One that has moved since is asked there first.
    """
    reference = ids.new("att", at=pipes.clock.now())

    async def begin(tx: Transaction) -> _Begun | None:
        return await _begin(tx, found, after, asked, reference, pipes.clock.now())

    begun = await pipes.database.retried(begin)
    if begun is not None:
        url = begun.found.return_url or ""
        await collect(pipes, begun.site, begun.account, begun.found, begun.reference, url)


async def _begin(
    tx: Transaction,
    known: Payment,
    after: str,
    asked: Collection[providers.ProviderAccount],
    reference: str,
    at: datetime,
) -> _Begun | None:
    found = await payment(tx, known.site_id, known.payment_id, lock=True)
    if found.next_account is None or found.sub_status is not SubStatus.SUBMITTED:
        return None  # somebody else has sent it, or heard of the one before
    tries = await attempts_of(tx, found)
    if tries[-1].attempt_id != after or await providers.have_moved(tx, asked):
        return None
    account, why = await _allowed(tx, found, tries, at)
    if account is None:
        end = SubStatus.PROVIDER_ERROR if tries[-1].never_left else SubStatus.DECLINED
        cause = Cause("system", found.reason_code, found.reason, detail={"why_last": why})
        cause = await _at_end(tx, found, cause)
        await carry_out(tx, found, Step((end,)), cause, at=at)
        return None
    if account.account != found.next_account:
        onward = {"next_account": account.account, "after": tries[-1].account}
        await carry_out(tx, found, Step(), Cause("system", detail=onward), at=at)
    await tx.write(written_try(found, reference, account.account, len(tries) + 1, at))
    changes = {
        "account": account.account,
        "present_attempt": reference,
        "next_account": None,
        "sent_at": at,
        "ask_at": at + ask_delay(Kind.DEPOSIT, 0),
        "asked": 0,
    }
    now_is = await remember(tx, found, changes)
    return _Begun(now_is, await merchants.site(tx, found.site_id), account, reference)


async def _at_end(tx: Transaction, found: Payment, cause: Cause) -> Cause:
    """The cause of an end without money, and an earlier try that has said that it was paid is asked about."""
    question = await question_at_end(tx, found)
    return replace(cause, beside=question.writes, is_questioned=question.of_payment)


async def _allowed(
    tx: Transaction, found: Payment, tries: Sequence[Attempt], at: datetime
) -> tuple[providers.ProviderAccount | None, str]:
    """The next account as it is now, or why the deposit is tried at none after all.

    It may be another one than was next when the try before it failed: that one may be off by now.
    """
    if _is_over(found, at):
        return None, "the player's time is over"
    if found.attention is not None:
        return None, "people look at it"
    if await switches.is_stopped(tx, found.site_id, DEPOSITS):
        return None, "deposits are stopped"
    return await next_held(tx, found, tries)


def _is_over(found: Payment, now: datetime) -> bool:
    """Whether the time that the player had to pay has run out."""
    if found.sub_status is SubStatus.EXPIRED:
        return True
    return found.expires_at is not None and now >= found.expires_at


def _differ(one: providers.Result, other: providers.Result) -> bool:
    facts = [(said.state, said.amount, said.provider_reference) for said in (one, other)]
    return facts[0] != facts[1]


def _order(
    pipes: Pipes, site: merchants.Site, found: Payment, account: str, reference: str, return_url: str
) -> providers.DepositOrder:
    return providers.DepositOrder(
        reference=reference,
        amount=found.amount,
        description=f"{site.name}, {found.number}",
        player_reference=found.player_id,
        language=found.language,
        return_url=return_url,
        notice_url=f"{pipes.public_url}/notices/{site.site_id}/{account}",
        method=found.method,
    )
