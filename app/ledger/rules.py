"""How the ledger decides, and how a sealed record is digested. Pure.

A `Book` holds what one transaction has locked and looked up. `Book.post` decides one request after the other,
each upon what the earlier ones left, and collects the rows to be written. Nothing here touches a database, so
every rule of money is tested without one; the slow rooms (one request) and the wallet's batches (hundreds)
run through the same lines.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from app.kernel.money import Money
from app.ledger import chart
from app.ledger.model import (
    MAX_BALANCE,
    AccountName,
    AccountState,
    Key,
    Outcome,
    Posted,
    PostRequest,
    Seal,
    Side,
    Stored,
    TransferNumber,
    length_prefixed,
)

__all__ = ["NO_SEAL", "Book", "TransferRow", "UndeclaredMovement", "next_head"]

# What the first seal of a site continues from.
NO_SEAL: Final = Seal(number=0, last_recorded_in=0, last_transfer_id=0, head=bytes(32))


class UndeclaredMovement(RuntimeError):
    """A movement that `chart` does not declare: a fault of the code, never of the caller."""


class TransferRow(NamedTuple):
    """A transfer as it will be written; posted or refused."""

    request: PostRequest
    stored: Stored


@dataclass(slots=True)
class Book:
    """What one transaction knows and has decided.

    Args:
        accounts: every account of every request whose key is not in `seen`, locked.
        seen: the requests decided earlier, looked up after the locks.
        at: this instant; what is written is never before any of these accounts moved last, because an
            account's history has one order, whatever the clocks of several machines say.

    What is decided now is numbered -1, -2, ... until the database, which writes it, has drawn its numbers.
    """

    accounts: Mapping[AccountName, AccountState]
    seen: dict[Key, Stored]
    at: datetime
    transfers: list[TransferRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Never back-date; `ledger_write` does the same."""
        self.at = max((self.at, *(account.moved_at for account in self.accounts.values())))

    def post(self, item: PostRequest) -> Posted:
        """Decide one request upon what the earlier ones left.

        The key is looked at before anything else, so that a repeat always gets its first answer. A refusal is
        kept like a success, and harms none of its neighbours.

        Raises:
            UndeclaredMovement: the movement is not one of `chart`.
        """
        if chart.MOVEMENTS.get(item.movement.kind) != item.movement:
            raise UndeclaredMovement(item.movement.kind)
        fingerprint = item.fingerprint()
        known = self.seen.get(item.identity)
        if known is not None:
            if known.fingerprint == fingerprint:
                return self._told(item, known, duplicate=True)
            return self._conflict(item, known)
        source, target = self.accounts[item.source_account], self.accounts[item.target_account]
        outcome = _verdict(source, target, item)
        if outcome is Outcome.POSTED:
            for account, gain in ((source, -item.amount.minor), (target, item.amount.minor)):
                account.balance += gain
                account.version += 1
        number = TransferNumber(-len(self.transfers) - 1)
        stored = Stored(number, fingerprint, outcome, _side(source), _side(target), self.at)
        self.seen[item.identity] = stored
        self.transfers.append(TransferRow(item, stored))
        return self._told(item, stored, duplicate=False)

    def numbered(self, answer: Posted, numbers: Sequence[int]) -> Posted:
        """Give an answer the number that its transfer got; `numbers` are in the order of `transfers`."""
        if answer.transfer_id > 0:
            return answer
        return replace(answer, transfer_id=TransferNumber(numbers[-answer.transfer_id - 1]))

    def _told(self, item: PostRequest, stored: Stored, *, duplicate: bool) -> Posted:
        currency = item.amount.currency
        return Posted(
            request=item,
            transfer_id=stored.transfer_id,
            outcome=stored.outcome,
            duplicate=duplicate,
            source_version=stored.source.version,
            target_version=stored.target.version,
            source_after=Money(stored.source.balance_minor, currency),
            target_after=Money(stored.target.balance_minor, currency),
            source_now=self._now(item.source_account),
            target_now=self._now(item.target_account),
            recorded_at=stored.recorded_at,
        )

    def _conflict(self, item: PostRequest, known: Stored) -> Posted:
        # What the other request did is not this caller's business: only the present balances are told.
        sides = [self.accounts.get(name) for name in (item.source_account, item.target_account)]
        source, target = (Side(0, 0, 0) if side is None else _side(side) for side in sides)
        answer = replace(known, outcome=Outcome.CONFLICT, source=source, target=target)
        return self._told(item, answer, duplicate=False)

    def _now(self, name: AccountName) -> Money:
        account = self.accounts.get(name)  # an account that was never opened holds nothing
        return Money(0 if account is None else account.balance, name.currency)


def _verdict(source: AccountState, target: AccountState, item: PostRequest) -> Outcome:
    amount = item.amount.minor
    if source.floor is not None and source.balance - amount < source.floor:
        return Outcome.INSUFFICIENT_FUNDS
    most = item.movement.target.ceiling_minor
    if source.balance - amount < -MAX_BALANCE or target.balance + amount > (
        MAX_BALANCE if most is None else most
    ):
        return Outcome.BALANCE_LIMIT_REACHED
    return Outcome.POSTED


def _side(account: AccountState) -> Side:
    return Side(account.account_id, account.version, account.balance)


def next_head(head: bytes, rows: Iterable[Iterable[str | int | bytes | None]]) -> bytes:
    """Continue the hash chain over some rows.

    Each field is written as a letter for its type and its bytes, length-prefixed, and each row is
    length-prefixed again, so that no two different lists of rows are the same bytes.

    Args:
        head: the head before, 32 bytes; that of `NO_SEAL` at the start.
        rows: the canonical rows in the order of the chain.

    Returns:
        the new head, SHA-256.
    """
    digest = hashlib.sha256(length_prefixed(head))
    for row in rows:
        digest.update(length_prefixed(b"".join(length_prefixed(_written(value)) for value in row)))
    return digest.digest()


def _written(value: str | int | bytes | None) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b" + value
    return b"i%d" % value if isinstance(value, int) else b"s" + value.encode()
