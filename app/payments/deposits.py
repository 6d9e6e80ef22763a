"""A deposit, from the player's wish to the provider's page.

Each phase leaves a recovery point in the payment's row:

    created -> checking     the merchant is asked                       (callouts: written before it is sent)
    checking -> submitted   the try is written with its reference       (attempt: written before it is sent)
    submitted -> ...        the provider's answer, notice or status     (the model decides)

A process that dies between two phases loses nothing: `sweeps` takes the payment up from its row. A provider's
answer that must be asked about is written with what the provider then says; who dies in between asks again.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, or_, select

from app import callouts, merchants, methods, players, providers
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.contract import event_type
from app.payments.fences import locked_for_order
from app.payments.model import Source, Step
from app.payments.queries import (
    Payment,
    last_attempt,
    payment,
    payment_of,
    view_hash,
    view_token,
)
from app.payments.rules import next_step
from app.payments.states import STATUS_OF, Kind, Status, SubStatus
from app.payments.steps import Cause, apply_evidence, carry_out, evidence_of
from app.payments.tables import attempts, payment_events, payment_numbers, payments
from app.payments.telling import WHO_HEARS, audience_of, tell
from app.plumbing import idempotency, switches
from app.plumbing.database import Built, Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "DEPOSITS",
    "DepositWish",
    "DepositsStopped",
    "TooManyOpenDeposits",
    "ask_provider",
    "request_deposit",
]

DEPOSITS = "deposits"  # the stop switch this room obeys
OPEN_AT_MOST = 10  # unfinished deposits of one player: more is not a person
# What a provider may say at the end of the player's time without deciding anything.
_UNDECIDED = frozenset(
    {
        providers.State.REQUIRES_ACTION,
        providers.State.CANCELLED,
        providers.State.NOT_FOUND,
        providers.State.UNKNOWN,
    }
)
PLAYER_HAS = timedelta(minutes=30)  # to finish at the provider's page; afterwards the deposit expires
# Built once: every deposit runs them.
_NEW = Built(
    payments.insert()
    .values(number=select(payment_numbers.next_value()).scalar_subquery())
    .returning(payments, *WHO_HEARS)
)
_EVENT = Built(payment_events.insert())
_TRY = Built(attempts.insert())
_OPEN = Built(
    select(
        func.count().label("unfinished"),
        switches.stopped(bindparam("of_site", type_=payments.c.site_id.type), DEPOSITS).label("is_stopped"),
    )
    .select_from(payments)
    .where(
        payments.c.site_id == bindparam("of_site"),
        payments.c.player_id == bindparam("of_player"),
        payments.c.kind == Kind.DEPOSIT,
        or_(payments.c.status == Status.PENDING, payments.c.status == Status.PROCESSING),
    )
)


class DepositsStopped(Refusal):
    """Deposits are closed for the moment. Please try again later."""


class TooManyOpenDeposits(Refusal):
    """You have {most} unfinished deposits; finish one of them or wait until they expire."""


@dataclass(frozen=True, slots=True)
class DepositWish:
    """What the player chose. `form_key` is the idempotency key of the form that was sent."""

    method: str
    amount: Money
    form_key: str
    source_type: int


async def request_deposit(
    pipes: Pipes, session: players.Session, wish: DepositWish, *, site: merchants.Site | None = None
) -> str:
    """Take a player's wish as far as the provider's page, or to the state that says why not.

    The same form sent twice is one deposit.

    Args:
        pipes: the pipes.
        session: the player's.
        wish: what the player chose.
        site: the session's, where the caller has just read it.

    Returns:
        A token that shows this one payment and nothing else.

    Raises:
        DepositsStopped: a stop switch is on.
        TooManyOpenDeposits: the player should finish the ones there are.
        MethodUnavailable, AmountTooLow, AmountTooHigh: the wish does not fit the site's offer; nothing is
            written.
        IdempotencyKeyReused: the form key was used for another wish.
    """
    now = pipes.clock.now()
    site_id = session.player.site_id
    site = site or await _site(pipes, site_id)
    async with pipes.database.transaction() as tx:
        # The form first: who sends it again finds his payment, whatever has changed meanwhile.
        content = {"method": wish.method, "amount": wish.amount.minor, "currency": wish.amount.currency}
        scope = f"deposit:{session.player.player_id}"
        payment_id = ids.new("dep", at=now)
        told = {"payment_id": payment_id}
        claimed = await idempotency.claim(tx, site_id, scope, wish.form_key, content, receipt=told)
        if claimed.receipt is not None:
            return view_token(site_id, claimed.receipt["payment_id"], wish.form_key)
        offer = await methods.offer(tx, site_id, session.currency, wish.method)
        methods.check_amount(methods.narrowed(offer, session.wishes.get("deposit_range", "")), wish.amount)
        try:
            account = await providers.account(tx, site_id, offer.account, must_be_enabled=True)
        except providers.AccountNotFound as gone:
            raise methods.MethodUnavailable(method=wish.method) from gone
        # This also locks the player's row: of two deposits at once the second counts the first.
        await players.remember_method(tx, session.player, wish.method)
        await _check_open(tx, session.player)
        found = await _create(tx, session, wish, payment_id, offer.account, now)
        question = _question(found, session.player.site_login)
        callout = await callouts.write_check_deposit(tx, site, question, at=now)
    token = view_token(site_id, found.payment_id, wish.form_key)
    heard = await callouts.check_deposit(pipes, callout)
    await _go_on(pipes, site, account, found, heard, token)
    return token


async def _site(pipes: Pipes, site_id: int) -> merchants.Site:
    async with pipes.database.singly() as reader:
        return await merchants.site(reader, site_id)


async def _check_open(tx: Transaction, player: players.Player) -> None:
    """Refuse a deposit while deposits are stopped, or the player has enough unfinished ones."""
    row = await tx.one(_OPEN, {"of_site": player.site_id, "of_player": player.player_id})
    if row.is_stopped:
        raise DepositsStopped
    if row.unfinished >= OPEN_AT_MOST:
        raise TooManyOpenDeposits(most=OPEN_AT_MOST)


async def ask_provider(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Ask the provider what became of a payment, and let its answer count; safe at any time, however often.

    A deposit whose time has run out while the player was awaited ends as expired, unless the provider says
    otherwise.
    """
    async with pipes.database.reading() as reader:
        found = await payment(reader, site_id, payment_id)
        attempt = await last_attempt(reader, site_id, payment_id)
        if attempt is None:
            return
        account = await providers.account(reader, site_id, attempt.account)
    await _ask_of(pipes, found, account, attempt.attempt_id)


async def _ask_of(pipes: Pipes, found: Payment, account: providers.ProviderAccount, reference: str) -> None:
    gateway, site_id, payment_id = providers.gateway_of(account), found.site_id, found.payment_id
    result = providers.judged(account, await gateway.status(pipes.http, account, reference))
    if _is_over(found, pipes.clock.now()) and result.state is providers.State.REQUIRES_ACTION:
        # Told to forget the order, so that its page takes no more money; should the player have paid in this
        # very moment, the answer says so.
        result = providers.judged(account, await gateway.cancel(pipes.http, account, reference))
    now = pipes.clock.now()

    async def conclude(tx: Transaction) -> None:
        found = await payment(tx, site_id, payment_id, lock=True)
        is_awaited = found.sub_status is SubStatus.AWAITING_PLAYER
        if is_awaited and _is_over(found, now) and result.state in _UNDECIDED:
            await carry_out(tx, found, Step(path=(SubStatus.EXPIRED,)), Cause("clock"), at=now)
        else:
            await apply_evidence(tx, found, reference, result, Source.STATUS_QUERY, at=now)

    await pipes.database.retried(conclude)


def _is_over(found: Payment, now: datetime) -> bool:
    """Whether the time that the player had to pay has run out."""
    if found.sub_status is SubStatus.EXPIRED:
        return True
    return found.expires_at is not None and now >= found.expires_at


async def _create(
    tx: Transaction,
    session: players.Session,
    wish: DepositWish,
    payment_id: str,
    account: str,
    at: datetime,
) -> Payment:
    first, told_as = SubStatus.CHECKING, event_type(Kind.DEPOSIT, SubStatus.CREATED)
    both: dict[str, object] = {
        "site_id": session.player.site_id,
        "payment_id": payment_id,
        "sequence": 1,
        "status": STATUS_OF[first],
        "sub_status": first,
        "amount_minor": wish.amount.minor,
        "currency": wish.amount.currency,
    }
    new = {
        "kind": Kind.DEPOSIT,
        "player_id": session.player.player_id,
        "method": wish.method,
        "account": account,
        "view_hash": view_hash(view_token(session.player.site_id, payment_id, wish.form_key)),
        "customer_ip": session.customer_ip,
        "source_type": wish.source_type,
        "language": session.language,
        "created_at": at,
        "changed_at": at,
    }
    event = both | {"type": told_as, "source": "player", "recorded_at": at}
    row = await tx.written((_NEW, both | new), (_EVENT, event))
    written = payment_of(row)
    await tell(tx, None, written, told_as, audience_of(row), at=at)
    return written


def _question(found: Payment, site_login: str) -> callouts.DepositQuestion:
    method = methods.CATALOGUE[found.method]
    return callouts.DepositQuestion(
        payment_id=found.payment_id,
        transaction_id=str(found.number),
        site_login=site_login,
        amount=found.amount,
        payment_group_id=method.group_id,
        payment_type_id=method.type_id,
        customer_ip=found.customer_ip,
        source_type=found.source_type,
    )


async def _go_on(
    pipes: Pipes,
    site: merchants.Site,
    account: providers.ProviderAccount,
    found: Payment,
    heard: callouts.Heard,
    token: str,
) -> None:
    """Take the deposit on after the merchant's word: to the provider, and where that says so to the end."""
    # By itself: whatever becomes of the next step, the order number that the merchant gave is known.
    await callouts.write_answer(pipes.database, heard, at=pipes.clock.now())
    reference = ids.new("att", at=pipes.clock.now())

    async def conclude(tx: Transaction) -> bool:
        return await _conclude_check(tx, found, heard.answer, reference, pipes.clock.now())

    if not await pipes.database.retried(conclude):
        return
    order = _order(pipes, site, found, reference, token)
    gateway = providers.gateway_of(account)
    answer = providers.judged(account, await gateway.deposit(pipes.http, account, order))
    words = [(answer, Source.ANSWER)]
    sent = replace(found.facts, sub_status=SubStatus.SUBMITTED, sent_at=pipes.clock.now())
    if next_step(sent, evidence_of(answer, Source.ANSWER, pipes.clock.now())).ask_again:
        # It must be asked before that counts. What it says both times is written once, as said when asked.
        status = providers.judged(account, await gateway.status(pipes.http, account, reference))
        words = [*(words if _differ(answer, status) else ()), (status, Source.STATUS_QUERY)]
    now = pipes.clock.now()

    async def heard_of(tx: Transaction) -> Step:
        step = Step()
        for result, source in words:
            now_is = await payment(tx, site.site_id, found.payment_id, lock=True)
            step = await apply_evidence(tx, now_is, reference, result, source, at=now)
        return step

    if (await pipes.database.retried(heard_of)).ask_again:
        await _ask_of(pipes, found, account, reference)


def _differ(one: providers.Result, other: providers.Result) -> bool:
    facts = [(said.state, said.amount, said.provider_reference) for said in (one, other)]
    return facts[0] != facts[1]


async def _conclude_check(
    tx: Transaction, found: Payment, answer: callouts.Answer, reference: str, now: datetime
) -> bool:
    """Write the merchant's word; whether the provider is to be asked now."""
    found, is_order_taken = await locked_for_order(tx, found, answer.external_id)
    if found.sub_status is not SubStatus.CHECKING:
        return False  # a sweep gave it up meanwhile; the merchant hears of that by webhook
    if answer.state is callouts.CalloutState.ACCEPTED and is_order_taken:
        # Two collections under one order number: the merchant would see one of them.
        answer = callouts.Answer(
            callouts.CalloutState.UNKNOWN, reason="external_id of another open or paid deposit"
        )
    if answer.state is not callouts.CalloutState.ACCEPTED:
        refused = answer.state is callouts.CalloutState.REFUSED
        end = SubStatus.REJECTED_BY_MERCHANT if refused else SubStatus.MERCHANT_UNREACHABLE
        await carry_out(tx, found, Step(path=(end,)), Cause("merchant", reason=answer.reason), at=now)
        return False
    tried = {
        "site_id": found.site_id,
        "attempt_id": reference,
        "payment_id": found.payment_id,
        "number": 1,
        "account": found.account,
        "sent_at": now,
    }
    changes = {"external_id": answer.external_id, "sent_at": now, "expires_at": now + PLAYER_HAS}
    cause = Cause("merchant", changes=changes, beside=[(_TRY, tried)])
    await carry_out(tx, found, Step(path=(SubStatus.SUBMITTED,)), cause, at=now)
    return True


def _order(
    pipes: Pipes, site: merchants.Site, found: Payment, reference: str, token: str
) -> providers.DepositOrder:
    return providers.DepositOrder(
        reference=reference,
        amount=found.amount,
        description=f"{site.name}, {found.number}",
        player_reference=found.player_id,
        language=found.language,
        return_url=f"{pipes.public_url}/cashier/payment/{token}?returned=yes",
        notice_url=f"{pipes.public_url}/notices/{site.site_id}/{found.account}",
        method=found.method,
    )
