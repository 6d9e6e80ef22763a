"""What happens to the demo shop's withdrawals: asked for, decided by the owner, ended by the cashier's word.

Pure, like the books it writes in. The money leaves the player's balance when the withdrawal is asked for; a
success needs nothing more, and every other end gives it back once.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

from app.demo.merchant_books import (
    FAILURES,
    PARTIAL_SUCCESS,
    SUCCESS,
    Books,
    Effect,
    Player,
    Refused,
    Webhook,
    Withdrawal,
    WithdrawalStatus,
)
from app.kernel.money import Money

__all__ = [
    "NoSuchWithdrawal",
    "NotEnough",
    "about_withdrawal",
    "apply",
    "approve",
    "found",
    "reject",
    "rename",
    "reserve",
]

PAYOUT, VOID, REFUND = 11, 4, 5  # protocol.md section 7
S = WithdrawalStatus
GIVEN_BACK: Final[AbstractSet[WithdrawalStatus]] = {S.REJECTED, S.FAILED}


class NotEnough(Exception):
    """Not enough funds."""


class NoSuchWithdrawal(Exception):
    """There is no such withdrawal."""


def reserve(books: Books, asked: Withdrawal) -> Withdrawal:
    """Take a withdrawal the cashier asks about into the books, and its money off the player's balance.

    The same `transaction_id` again returns the withdrawal that is already there, untouched. Raises
    UnknownPlayer, NotEnough, and Refused for another currency, an amount of nothing, a repeat with other
    content, or one whose money was given back meanwhile.
    """
    player = books.player(asked.login)
    books.must_take(player, asked.amount)
    known = _by_transaction(books, asked.transaction_id)
    if known is not None:
        if known.status in GIVEN_BACK:
            reason = "This withdrawal has ended"
            raise Refused(reason)
        if (known.login, known.amount, known.purse) != (asked.login, asked.amount, asked.purse):
            reason = "This transaction already has another withdrawal"
            raise Refused(reason)
        return known
    if player.balance < asked.amount:
        raise NotEnough
    _move(books, player, asked, Effect.RESERVED, -asked.amount)
    return _open(books, asked)


def approve(books: Books, external_id: str) -> Withdrawal:
    """Decide that the cashier is told to pay, once more if it did not answer.

    Raises NoSuchWithdrawal, and Refused where this is decided or being told at this moment.
    """
    asked = found(books, external_id)
    if asked.status not in {S.REQUESTED, S.APPROVED} or asked.is_being_sent:
        reason = "This withdrawal is decided"
        raise Refused(reason)
    asked.status, asked.problem, asked.is_being_sent = S.APPROVED, "", True
    return asked


def reject(books: Books, external_id: str) -> Withdrawal:
    """Decide that it is not paid: the money is the player's again; raise NoSuchWithdrawal, Refused.

    Once the cashier was told to pay, and has not said that it will not, this is too late.
    """
    asked = found(books, external_id)
    if asked.status is not S.REQUESTED:
        reason = "This withdrawal is decided"
        raise Refused(reason)
    asked.status, asked.problem = S.REJECTED, ""
    _move(books, books.player(asked.login), asked, Effect.RELEASED, asked.amount)
    return asked


def rename(books: Books, asked: Withdrawal, external_id: str) -> None:
    """Give a withdrawal another order number, as a shop does that answers every repeat anew."""
    del books.withdrawals[asked.external_id]
    asked.external_id = external_id
    _open(books, asked)


def found(books: Books, external_id: str) -> Withdrawal:
    """Return the withdrawal of that order number; raise NoSuchWithdrawal."""
    try:
        return books.withdrawals[external_id]
    except KeyError:
        raise NoSuchWithdrawal from None


def about_withdrawal(books: Books, webhook: Webhook) -> bool:
    """Tell whether a webhook speaks of a withdrawal: a payout does, and what undoes one of the shop's own."""
    return webhook.type_id == PAYOUT or (
        webhook.type_id in {VOID, REFUND} and webhook.external_id in books.withdrawals
    )


def apply(books: Books, webhook: Webhook, *, now: datetime) -> Effect:
    """Carry out a verified webhook about a withdrawal, and say what it did; again it does nothing (REPEATED).

    A late success takes the money once more that a failure had given back, even if the balance falls below
    nothing: the bank has paid. So does one under a number of its own, of what came back. A failure after a
    success is noted only; money that comes back is told as a refund of the withdrawal. Raises UnknownPlayer,
    and Refused for another currency or another player.
    """
    player = books.player(webhook.login)
    books.must_take(player, webhook.amount)
    if webhook.seen in books.heard:
        return Effect.REPEATED
    own = _by_transaction(books, webhook.transaction_id)
    asked = own or books.withdrawals.get(webhook.external_id)
    if asked is not None and asked.login != webhook.login:
        reason = "This withdrawal is another player's"
        raise Refused(reason)
    books.heard.add(webhook.seen)
    if webhook.type_id != PAYOUT:
        return _returned(books, player, asked, webhook)
    if webhook.status_id in {SUCCESS, PARTIAL_SUCCESS}:
        if asked is not None and own is None:
            return _paid_again(books, player, asked, webhook)
        return _paid(books, player, asked or _forgotten(books, webhook, now), webhook)
    if webhook.status_id in FAILURES:
        return _failed(books, player, asked or _forgotten(books, webhook, now), webhook)
    return Effect.NOTED


def _paid(books: Books, player: Player, asked: Withdrawal, webhook: Webhook) -> Effect:
    paid = webhook.paid or webhook.amount
    if asked.status is S.PAID and asked.paid is not None and paid > asked.paid:
        # A part of it that had failed is paid late: what was given back for that part is taken again.
        _move(books, player, asked, Effect.DEBITED, asked.paid - paid)
        asked.paid, asked.status_id = paid, webhook.status_id
        return Effect.DEBITED
    if asked.status in {S.PAID, S.RETURNED}:
        return Effect.REPEATED
    effect = Effect.SETTLED
    if asked.status in GIVEN_BACK:
        effect = Effect.DEBITED
        _move(books, player, asked, effect, -asked.amount)
    asked.status, asked.status_id, asked.problem = S.PAID, webhook.status_id, ""
    if paid.currency == asked.amount.currency and paid != asked.amount:
        # Less: the rest of what was set aside is the player's. More: that was paid too, so it is taken.
        over = Effect.RELEASED if paid < asked.amount else Effect.DEBITED
        _move(books, player, asked, over, asked.amount - paid)
        asked.paid = paid
    return effect


def _paid_again(books: Books, player: Player, asked: Withdrawal, webhook: Webhook) -> Effect:
    """What came back had been paid after all: it is taken again, whichever of the two is heard of first."""
    paid = webhook.paid or webhook.amount
    asked.returned_minor -= paid.minor
    if asked.status is S.RETURNED:
        asked.status, asked.status_id = S.PAID, webhook.status_id
    books.move(player, webhook.transaction_id, asked.external_id, Effect.DEBITED, -paid)
    return Effect.DEBITED


def _failed(books: Books, player: Player, asked: Withdrawal, webhook: Webhook) -> Effect:
    if asked.status in {S.PAID, S.RETURNED}:
        return Effect.NOTED
    asked.status_id = webhook.status_id
    if asked.status in GIVEN_BACK:
        return Effect.FAILED
    asked.status, asked.problem = S.FAILED, ""
    _move(books, player, asked, Effect.RELEASED, asked.amount)
    return Effect.RELEASED


def _returned(books: Books, player: Player, asked: Withdrawal | None, webhook: Webhook) -> Effect:
    """Undo a paid withdrawal: what the bank sent back is the player's again.

    It may be heard of before the payment itself. Money that was given back before is not given twice.
    """
    if asked is None or webhook.status_id != SUCCESS:
        return Effect.NOTED
    paid = asked.paid or asked.amount
    left = paid.minor - asked.returned_minor
    amount = 0 if asked.status in GIVEN_BACK else min(webhook.amount.minor, left)
    # A withdrawal paid in parts comes back in parts.
    asked.returned_minor = asked.returned_minor + amount if amount else paid.minor
    if asked.returned_minor == paid.minor:
        asked.status, asked.status_id, asked.problem = S.RETURNED, webhook.status_id, ""
    if not amount:
        return Effect.NOTED
    back = Money(amount, paid.currency)
    books.move(player, webhook.transaction_id, asked.external_id, Effect.RETURNED, back)
    return Effect.RETURNED


def _forgotten(books: Books, webhook: Webhook, now: datetime) -> Withdrawal:
    """A withdrawal from before a restart, or one that this shop refused: nothing is reserved for it."""
    external_id = webhook.external_id or webhook.transaction_id
    asked = Withdrawal(external_id, webhook.transaction_id, webhook.login, webhook.amount, "", "0", now)
    asked.status = S.FAILED
    return _open(books, asked)


def _by_transaction(books: Books, transaction_id: str) -> Withdrawal | None:
    return books.withdrawals.get(books.by_transaction.get(transaction_id, "")) if transaction_id else None


def _open(books: Books, asked: Withdrawal) -> Withdrawal:
    books.withdrawals[asked.external_id] = asked
    if asked.transaction_id:
        books.by_transaction[asked.transaction_id] = asked.external_id
    return asked


def _move(books: Books, player: Player, asked: Withdrawal, effect: Effect, amount: Money) -> None:
    books.move(player, asked.transaction_id, asked.external_id, effect, amount)
