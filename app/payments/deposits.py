"""A deposit, from the player's wish to the provider's page.

Each phase leaves a recovery point in the payment's row:

    created -> checking     the merchant is asked                       (callouts: written before it is sent)
    checking -> submitted   the try is written with its reference       (attempt: written before it is sent)
    submitted -> ...        at its provider                             (deposit_sending)

A process that dies between two phases loses no money: `sweeps` takes the payment up from its row. What the
merchant answered is written with the phase that follows from it; should the process die before, the deposit
ends without his order number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app import callouts, merchants, methods, players, providers
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.cascade import next_held
from app.payments.changes import Cause
from app.payments.contract import event_type
from app.payments.deposit_sending import DEPOSITS, collect, written_try
from app.payments.fences import ForOrder, locked_for_order
from app.payments.liquidity import why_off
from app.payments.model import Step
from app.payments.offers import Wished, first_account, wished
from app.payments.queries import Payment, payment_of, view_hash, view_token
from app.payments.states import STATUS_OF, Kind, SubStatus
from app.payments.steps import Left, carry_out
from app.payments.tables import payment_events, payments
from app.payments.telling import WHO_HEARS, audience_of, tell
from app.plumbing import idempotency
from app.plumbing.database import Built, Transaction, Write
from app.plumbing.pipes import Pipes

__all__ = [
    "DepositWish",
    "DepositsStopped",
    "PlayerMayNotDeposit",
    "TooManyOpenDeposits",
    "request_deposit",
]

OPEN_AT_MOST = 10  # unfinished deposits of one player: more is not a person
PLAYER_HAS = timedelta(minutes=30)  # to finish at the provider's page; afterwards the deposit expires
# Built once: every deposit runs them.
_NEW = Built(payments.insert().returning(payments, *WHO_HEARS))
_EVENT = Built(payment_events.insert())


class DepositsStopped(Refusal):
    """Deposits are closed for the moment. Please try again later."""


class PlayerMayNotDeposit(Refusal):
    """Deposits are not possible for you at present. Ask the support of the site."""


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
        PlayerMayNotDeposit: the player is blocked or closed, and could neither play with the money nor have
            it back (rule 74).
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
        # Beside it the player's row is locked: of two deposits at once the second counts the first.
        preselected = [players.method_remembered(session.player, wish.method)]
        claimed = await idempotency.claim(
            tx, site_id, scope, wish.form_key, content, receipt=told, beside=preselected
        )
        if claimed.receipt is not None:
            return view_token(site_id, claimed.receipt["payment_id"], wish.form_key)
        found = await wished(tx, session, wish.method, DEPOSITS)
        offer = found.offer
        methods.check_amount(methods.narrowed(offer, session.wishes.get("deposit_range", "")), wish.amount)
        account = offer.account if found.is_on else (await first_account(tx, site, offer)).account
        _check_open(found)
        token = view_token(site_id, payment_id, wish.form_key)
        return_url = f"{pipes.public_url}/cashier/payment/{token}?returned=yes"
        # It has the token in it, so it is kept only where another account may be asked after this request.
        kept = return_url if offer.further_accounts else None
        question = _question(session, wish, payment_id, found.number)
        callout, its_rows = callouts.deposit_question(site, question, at=now)
        new = {"payment_id": payment_id, "number": found.number, "account": account, "return_url": kept}
        created = await _create(tx, session, wish, new, its_rows, now)
    heard = await callouts.check_deposit(pipes, callout)
    await _go_on(pipes, site, created, heard, return_url)
    return token


async def _site(pipes: Pipes, site_id: int) -> merchants.Site:
    async with pipes.database.singly() as reader:
        return await merchants.site(reader, site_id)


def _check_open(found: Wished) -> None:
    """Refuse a deposit while deposits or the player are stopped, or of who has enough unfinished ones."""
    if found.is_stopped:
        raise DepositsStopped
    if not found.is_active:
        raise PlayerMayNotDeposit
    if found.unfinished >= OPEN_AT_MOST:
        raise TooManyOpenDeposits(most=OPEN_AT_MOST)


async def _create(
    tx: Transaction,
    session: players.Session,
    wish: DepositWish,
    its: Mapping[str, object],
    beside: Sequence[Write],
    at: datetime,
) -> Payment:
    """Write a deposit with the columns that are `its` own, its first event, and what stands `beside` it."""
    first, told_as = SubStatus.CHECKING, event_type(Kind.DEPOSIT, SubStatus.CREATED)
    both: dict[str, object] = {
        "site_id": session.player.site_id,
        "payment_id": its["payment_id"],
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
        "view_hash": view_hash(view_token(session.player.site_id, str(its["payment_id"]), wish.form_key)),
        "customer_ip": session.customer_ip,
        "source_type": wish.source_type,
        "language": session.language,
        "created_at": at,
        "changed_at": at,
        **its,
    }
    event = both | {"type": told_as, "source": "player", "recorded_at": at}
    row = await tx.written((_NEW, both | new), (_EVENT, event), *beside)
    written = payment_of(row)
    await tell(tx, None, written, told_as, audience_of(row), at=at)
    return written


def _question(
    session: players.Session, wish: DepositWish, payment_id: str, number: int
) -> callouts.DepositQuestion:
    method = methods.CATALOGUE[wish.method]
    return callouts.DepositQuestion(
        payment_id=payment_id,
        transaction_id=str(number),
        site_login=session.player.site_login,
        amount=wish.amount,
        payment_group_id=method.group_id,
        payment_type_id=method.type_id,
        customer_ip=session.customer_ip,
        source_type=wish.source_type,
    )


async def _go_on(
    pipes: Pipes,
    site: merchants.Site,
    found: Payment,
    heard: callouts.Heard,
    return_url: str,
) -> None:
    """Take the deposit on after the merchant's word: to the provider, and where that says so to the end."""
    reference = ids.new("att", at=pipes.clock.now())

    async def conclude(tx: Transaction) -> tuple[providers.ProviderAccount, Left] | None:
        return await _conclude_check(tx, found, heard, reference, pipes.clock.now())

    try:
        goes = await pipes.database.retried(conclude)
    except BaseException:
        # By itself: whatever became of the next step, the order number that the merchant gave is known.
        await callouts.write_answer(pipes.database, heard, at=pipes.clock.now())
        raise
    if goes is not None:
        account, left = goes
        await collect(pipes, site, account, found, reference, return_url, left=left)


async def _conclude_check(
    tx: Transaction, found: Payment, heard: callouts.Heard, reference: str, now: datetime
) -> tuple[providers.ProviderAccount, Left] | None:
    """Write the merchant's word; at which account the provider is to be asked now, if it is, and of what."""
    answer, its_answer = heard.answer, callouts.answer_to(heard, at=now)
    locked = await locked_for_order(tx, found, answer.external_id, DEPOSITS)
    found = locked.payment
    if found.sub_status is not SubStatus.CHECKING:
        await tx.write(its_answer)
        return None  # a sweep gave it up meanwhile; the merchant hears of that by webhook
    if answer.state is callouts.CalloutState.ACCEPTED and locked.order_is_taken:
        # Two collections under one order number: the merchant would see one of them.
        answer = callouts.Answer(
            callouts.CalloutState.UNKNOWN, reason="external_id of another open or paid deposit"
        )
    if answer.state is not callouts.CalloutState.ACCEPTED:
        refused = answer.state is callouts.CalloutState.REFUSED
        end = SubStatus.REJECTED_BY_MERCHANT if refused else SubStatus.MERCHANT_UNREACHABLE
        cause = Cause("merchant", reason=answer.reason, beside=[its_answer])
        await carry_out(tx, found, Step(path=(end,)), cause, at=now)
        return None
    order: dict[str, object] = {"external_id": answer.external_id}
    account, detail = (locked.account, {}) if locked.may_go else await _elsewhere(tx, locked)
    if account is None:
        # No provider has heard of it, so none is asked what became of it.
        changes = {**order, "ask_at": None}
        cause = Cause("system", changes=changes, detail=detail, beside=[its_answer])
        await carry_out(tx, found, Step(path=(SubStatus.PROVIDER_ERROR,)), cause, at=now)
        return None
    changes = {**order, "account": account.account, "sent_at": now, "expires_at": now + PLAYER_HAS}
    its_try = written_try(found, reference, account.account, 1, now)
    cause = Cause("merchant", changes=changes, detail=detail, beside=[its_try, its_answer])
    left = await carry_out(tx, found, Step(path=(SubStatus.SUBMITTED,)), cause, at=now)
    assert left is not None, "it has gone somewhere"
    return account, left


async def _elsewhere(
    tx: Transaction, locked: ForOrder
) -> tuple[providers.ProviderAccount | None, dict[str, object]]:
    """Where a deposit goes that may not go to its account any more, and what the history says of why."""
    found = locked.payment
    if locked.is_stopped:
        return None, {"why_last": "deposits are stopped"}
    off = await why_off(tx, found.site_id, {found.account})
    account, why = await next_held(tx, found, ())
    if account is None:
        return None, {"why_last": "; ".join(filter(None, (off, why)))}
    return account, {"next_account": account.account, "after": found.account, "short": off}
