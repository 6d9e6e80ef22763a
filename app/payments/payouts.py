"""A withdrawal, from the player's wish to the queue: reserved, asked of the merchant, cooled, reviewed.

Each phase leaves a recovery point in the payment's row; `carry_on` takes it up from there, whoever died:

    requested      the money is reserved; the merchant is asked, and asked again until it is understood
    cooling        the player may change his mind
    under_review   people, or the policy                       (approvals)
    approved       waits for the merchant's initiation         (initiation), then is sent (sending)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app import callouts, ledger, merchants, methods, players, providers, staff
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments import approvals, obstacles, sending
from app.payments.casebook import called_since
from app.payments.changes import Cause
from app.payments.leg_money import give_back
from app.payments.legs import lock_player, open_payouts, order_belongs_to_another, payout, policy
from app.payments.model import Attention, Step
from app.payments.offers import first_account
from app.payments.queries import Payment, view_hash, view_token
from app.payments.requests import LegPlan, PayoutPlan, available, looped, reserve, write_payout
from app.payments.schedules import ASK_HORIZON, question_delay
from app.payments.sending import WithdrawalsLocked
from app.payments.states import SubStatus
from app.payments.steps import carry_out, remember
from app.payments.trials import check_new, count_trial
from app.plumbing import idempotency, switches
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "CardNotTaken",
    "CardNotTakenNow",
    "PayoutWish",
    "PayoutsStopped",
    "TooManyOpenPayouts",
    "WithdrawalsLocked",
    "carry_on",
    "destination_of",
    "ensure_possible",
    "request_payout",
]

OPEN_AT_MOST = 10  # unfinished withdrawals of one player: more is not a person
# A merchant who has not been understood for so long is called: the player's money is reserved all the while.
_SILENT_AFTER = timedelta(hours=24)


class PayoutsStopped(Refusal):
    """Withdrawals are closed for the moment. Please try again later."""


class TooManyOpenPayouts(Refusal):
    """You have {most} unfinished withdrawals; wait until one of them is done."""


class CardNotTaken(Refusal):
    """Nothing can be paid to this card. Please choose another one."""

    param = "number"


class CardNotTakenNow(Refusal):
    """The card cannot be checked at the moment. Please try again in a minute."""


@dataclass(frozen=True, slots=True)
class PayoutWish:
    """What the player chose.

    Args:
        method: a code of the catalogue.
        amount: in the session's currency.
        form_key: the idempotency key of the form that was sent.
        source_type: the kind of client (protocol.md section 15).
        destination: what was typed, by field; empty with an `instrument_id`.
        instrument_id: one of the player's own instruments.
    """

    method: str
    amount: Money
    form_key: str
    source_type: int
    destination: Mapping[str, str] = field(default_factory=dict, repr=False)
    instrument_id: str = ""


async def request_payout(pipes: Pipes, session: players.Session, wish: PayoutWish) -> str:
    """Reserve a player's money and ask the merchant; the same form sent twice is one withdrawal.

    Returns:
        A token that shows this one payment, and lets it be taken back, and nothing else.

    Raises:
        PayoutsStopped, WithdrawalsLocked, TooManyOpenPayouts, TooManyInstruments: not now, or not this
            player.
        MethodUnavailable, AmountTooLow, AmountTooHigh: the wish does not fit the site's offer.
        BadDestination, InstrumentNotFound, CardNotTaken, CardNotTakenNow: nothing can be sent there.
        InsufficientFunds: the player's money with us does not reach; what is owed is counted off first.
        IdempotencyKeyReused: the form key was used for another wish. Nothing is written in any of these.
    """
    site_id = session.player.site_id
    # The form first: who sends it again finds his withdrawal, whatever has changed meanwhile, the bank's
    # answer to the number of a card included. And only what could be begun is asked of the bank: who has no
    # money here learns nothing about the cards of others.
    content = _content(wish)
    async with pipes.database.transaction() as tx:
        await lock_player(tx, session.player.player_id)
        known = await idempotency.earlier(tx, site_id, _scope(session), wish.form_key, content)
        if known is None:
            await ensure_possible(tx, session, wish, at=pipes.clock.now())
    if known is not None:
        return view_token(site_id, str(known["payment_id"]), wish.form_key)
    destination = await destination_of(pipes, session, wish)
    payment_id = ids.new("wdr", at=pipes.clock.now())

    async def begin(tx: Transaction) -> tuple[str, bool]:
        return await _begin(tx, session, wish, destination, payment_id, pipes.clock.now())

    reserved, is_new = await pipes.database.retried(begin)
    if is_new:
        await _ask_merchant(pipes, site_id, reserved)
    return view_token(site_id, reserved, wish.form_key)


async def carry_on(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Do whatever is due of a withdrawal: ask the merchant or the provider, end the cooling, send.

    Safe at any time, however often.
    """
    async with pipes.database.reading() as reader:
        found = await payout(reader, site_id, payment_id)
    match found.sub_status:
        case SubStatus.REQUESTED:
            await _ask_merchant(pipes, site_id, payment_id)
        case SubStatus.COOLING:
            await _end_cooling(pipes, site_id, payment_id)
        case SubStatus.APPROVED if found.expires_at is not None:
            if await _end_waiting(pipes, site_id, payment_id):
                await sending.send(pipes, site_id, payment_id)
        case SubStatus.APPROVED | SubStatus.ALLOCATED:
            if found.is_questioned:  # of another part, or an earlier try
                await sending.ask_payout(pipes, site_id, payment_id)
            await sending.send(pipes, site_id, payment_id)
        case _ if found.sent_at is not None:
            await sending.ask_payout(pipes, site_id, payment_id)
            await sending.send(pipes, site_id, payment_id)  # a leg of it may wait beside the others
        case _:
            pass  # it waits for people


def _scope(session: players.Session) -> str:
    """Whose form keys they are."""
    return f"payout:{session.player.player_id}"


def _content(wish: PayoutWish) -> dict[str, object]:
    """What makes a form the same form, known without asking anybody.

    Of a card only what may be shown: a hash of its number is no better kept than the number (PCI DSS 3.5.1).

    Raises:
        MethodUnavailable, BadDestination: as `methods.read_destination`.
    """
    to = wish.instrument_id
    if not to:
        typed = methods.read_destination(wish.method, wish.destination)
        to = typed.masked if typed.needs_token else typed.fingerprint
    return {
        "method": wish.method,
        "amount": wish.amount.minor,
        "currency": wish.amount.currency,
        "destination": to,
    }


async def destination_of(
    pipes: Pipes, session: players.Session, wish: PayoutWish
) -> tuple[methods.Destination, str]:
    """Where the money goes, fit to be stored, and the account that will pay to it, which gave a card's token.

    Raises:
        MethodUnavailable, BadDestination, InstrumentNotFound, TooManyInstruments, CardNotTaken,
            CardNotTakenNow: as `request_payout`.
    """
    site_id, player_id = session.player.site_id, session.player.player_id
    async with pipes.database.reading() as reader:
        offer = await methods.offer(
            reader, site_id, session.currency, wish.method, direction=methods.Direction.PAYOUT
        )
        if wish.instrument_id:
            known = await methods.instrument(reader, site_id, player_id, wish.instrument_id)
            if known.method != wish.method or known.removed_at is not None or not known.fields:
                raise methods.InstrumentNotFound
            return known.destination, known.account if "token" in known.fields else offer.account
        typed = methods.read_destination(wish.method, wish.destination)
        if typed.secret is None:
            return typed, offer.account
        # Its token is good at the account that gives it, and nowhere else: one to which nothing is sent would
        # keep the withdrawal, and hear a number in vain.
        account = await first_account(reader, await merchants.site(reader, site_id), offer)
    await count_trial(pipes, site_id, player_id)
    kept = await providers.gateway_of(account).tokenise(pipes.http, account, typed.secret)
    if isinstance(kept, providers.ProviderError):
        raise CardNotTakenNow if kept.retryable else CardNotTaken
    return typed.tokenised(kept.token, kept.fingerprint), account.account


async def _begin(
    tx: Transaction,
    session: players.Session,
    wish: PayoutWish,
    destination: tuple[methods.Destination, str],
    payment_id: str,
    at: datetime,
) -> tuple[str, bool]:
    """Reserve and write; the payment's id, and whether it is new."""
    site_id, player = session.player.site_id, session.player
    where, account = destination
    claimed = await idempotency.claim(tx, site_id, _scope(session), wish.form_key, _content(wish))
    if claimed.receipt is not None:
        return str(claimed.receipt["payment_id"]), False
    await _admit(tx, session, wish, at)
    kept = await methods.remember_instrument(tx, site_id, player.player_id, where, account=account, at=at)
    leg = LegPlan(
        wish.method,
        account,
        wish.amount,
        where.fields,
        where.masked,
        where.fingerprint,
        kept.instrument_id,
    )
    rules = await policy(tx, site_id, wish.amount.currency)
    plan = PayoutPlan(
        payment_id=payment_id,
        site_id=site_id,
        player_id=player.player_id,
        amount=wish.amount,
        legs=await looped(tx, site_id, player.player_id, leg) if rules.closed_loop else [leg],
        customer_ip=session.customer_ip,
        source_type=wish.source_type,
        language=session.language,
        hold_id=await reserve(tx, site_id, player.player_id, wish.amount, payment_id, at=at),
        view_hash=view_hash(view_token(site_id, payment_id, wish.form_key)),
        ask_at=at + question_delay(0),  # should this process die, the merchant is asked all the same
    )
    await write_payout(tx, plan, at=at)
    await idempotency.settle(tx, claimed, {"payment_id": payment_id})
    return payment_id, True


async def ensure_possible(
    tx: Transaction, session: players.Session, wish: PayoutWish, *, at: datetime
) -> None:
    """Refuse what could not be begun now, before anybody is asked; the player's withdrawals take turns.

    Raises:
        PayoutsStopped, MethodUnavailable, AmountTooLow, AmountTooHigh, WithdrawalsLocked, TooManyOpenPayouts,
        TooManyInstruments, InsufficientFunds: as `request_payout`.
    """
    await _admit(tx, session, wish, at)
    there = await available(tx, session.player.site_id, session.player.player_id, wish.amount.currency)
    if there is not None and there < wish.amount:
        raise ledger.InsufficientFunds(balance=there, needed=wish.amount)


async def _admit(tx: Transaction, session: players.Session, wish: PayoutWish, at: datetime) -> None:
    site_id, player = session.player.site_id, session.player
    if await switches.is_stopped(tx, site_id, obstacles.PAYOUTS):
        raise PayoutsStopped
    offer = await methods.offer(
        tx, site_id, session.currency, wish.method, direction=methods.Direction.PAYOUT
    )
    methods.check_amount(methods.narrowed(offer, session.wishes.get("payout_range", "")), wish.amount)
    await lock_player(tx, player.player_id)
    if await obstacles.why_barred(tx, site_id, player.player_id):
        raise WithdrawalsLocked
    if await open_payouts(tx, site_id, player.player_id) >= OPEN_AT_MOST:
        raise TooManyOpenPayouts(most=OPEN_AT_MOST)
    if not wish.instrument_id:
        await check_new(tx, site_id, player.player_id, at=at)


async def _ask_merchant(pipes: Pipes, site_id: int, payment_id: str) -> None:
    async with pipes.database.reading() as reader:
        site = await merchants.site(reader, site_id)
        found = await payout(reader, site_id, payment_id)
        player = await players.player(reader, site_id, found.player_id)
    method = methods.CATALOGUE[found.method]
    question = callouts.PayoutQuestion(
        payment_id=payment_id,
        transaction_id=str(found.number),
        site_login=player.site_login,
        amount=found.amount,
        payment_group_id=method.group_id,
        payment_type_id=method.type_id,
        customer_purse=found.purse,
        remember_customer_purse=True,  # it is an instrument of the player's from now on
        customer_ip=found.customer_ip,
    )
    answer = await callouts.request_payout(pipes, site, question)

    async def conclude(tx: Transaction) -> None:
        await _conclude(tx, site_id, payment_id, answer, pipes.clock.now())

    await pipes.database.retried(conclude)


async def _conclude(
    tx: Transaction, site_id: int, payment_id: str, answer: callouts.Answer, at: datetime
) -> None:
    """Write the merchant's word."""
    found = await payout(tx, site_id, payment_id, lock=True)
    accepted = answer.state is callouts.CalloutState.ACCEPTED
    if accepted and await order_belongs_to_another(tx, found, answer.external_id):
        # Two withdrawals under one order number: the merchant could initiate only one of them.
        reason = "external_id of another withdrawal"
        answer = callouts.Answer(callouts.CalloutState.UNKNOWN, reason=reason)
    order = {"external_id": answer.external_id}
    if found.sub_status is not SubStatus.REQUESTED:
        if accepted and not found.external_id and answer.external_id:
            # Cancelled while the merchant was asked: it is told under the order number that it gave.
            cause = Cause("merchant", changes=order, detail={"order": answer.external_id})
            await carry_out(tx, found, Step(), cause, at=at)
        return
    match answer.state:
        case callouts.CalloutState.ACCEPTED:
            await _accepted(tx, found, order, at)
        case callouts.CalloutState.REFUSED | callouts.CalloutState.NO_FUNDS:
            await give_back(tx, found, at=at)
            changes = {"reason_player": answer.reason, "ask_at": None}
            cause = Cause("merchant", answer.state.value, answer.reason, changes=changes)
            await carry_out(tx, found, Step((SubStatus.REJECTED_BY_MERCHANT,)), cause, at=at)
        case _:
            if at - found.created_at >= _SILENT_AFTER:
                why, since = Attention.MERCHANT_SILENT, at - ASK_HORIZON
                is_told = await called_since(tx, found, why, since, by="merchant")  # noted, and as it was
                cause = Cause("merchant", reason=answer.reason, is_news=not is_told)
                await carry_out(tx, found, Step(attention=why), cause, at=at)


async def _accepted(tx: Transaction, found: Payment, order: Mapping[str, object], at: datetime) -> None:
    rules = await policy(tx, found.site_id, found.amount.currency)
    if rules.cooling_seconds:
        until = at + timedelta(seconds=rules.cooling_seconds)
        cause = Cause("merchant", changes={**order, "expires_at": until, "ask_at": until, "asked": 0})
        await carry_out(tx, found, Step((SubStatus.COOLING,)), cause, at=at)
        return
    await approvals.review(
        tx, found, maker=staff.player_actor(found.player_id), at=at, changes={**order, "asked": 0}
    )


async def _end_waiting(pipes: Pipes, site_id: int, payment_id: str) -> bool:
    """End what was approved and never initiated, when its time is over.

    Returns whether it may be sent instead: the policy wants it to be initiated no more.
    """

    async def work(tx: Transaction) -> bool:
        found = await payout(tx, site_id, payment_id, lock=True)
        at, rules = pipes.clock.now(), await policy(tx, site_id, found.amount.currency)
        waits = found.sub_status is SubStatus.APPROVED and not approvals.is_ready(found, rules)
        if waits and found.expires_at is not None and at >= found.expires_at:
            await give_back(tx, found, at=at)
            cause = Cause("clock", reason="the merchant did not initiate it", changes={"ask_at": None})
            await carry_out(tx, found, Step((SubStatus.BY_SYSTEM,)), cause, at=at)
        elif waits and found.expires_at is not None:
            await remember(tx, found, {"ask_at": min(found.expires_at, at + approvals.LOOK_AGAIN)})
        return not waits

    return await pipes.database.retried(work)


async def _end_cooling(pipes: Pipes, site_id: int, payment_id: str) -> None:
    async def work(tx: Transaction) -> None:
        found = await payout(tx, site_id, payment_id, lock=True)
        at = pipes.clock.now()
        is_over = found.expires_at is not None and at >= found.expires_at
        if found.sub_status is SubStatus.COOLING and is_over:
            await approvals.review(tx, found, maker=staff.player_actor(found.player_id), at=at)

    await pipes.database.retried(work)
