"""What this process remembers of wallets: as its own last batch left them.

Whoever has just played will most likely play on, and nobody else will have moved the money: then there is
nothing to look up. What a decision from memory takes for granted, the statement that writes it makes sure
of: that the wallet stands as it was left (`wallet_confirm`), and what was never looked up (`Expected`). So
memory makes nothing true; where it is wrong, nothing is written, and the batch is decided anew.

A wallet is remembered by one batch at a time: it is taken out, and put back once the batch has committed.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from app.wallet.contract import Answer
from app.wallet.model import BETS
from app.wallet.rules import Page
from app.wallet.sheets import Seat, copied
from app.wallet.terms import Ask, Code, Operation, OperationKey, Round, RoundKey, Type, Wallet

__all__ = ["Expected", "Memory", "Recalled"]

_MOST: Final = 10_000  # wallets; some 2 kB each
# Of each wallet: the last bets, which wins name, and their rounds.
_LAST: Final = 2
# Batches. Where it is wrong each time, this many are looked up for each that is decided twice.
_LONGEST_DOUBT: Final = 128
_OFTEN: Final = 4

# Site, the site's id of the player, currency.
_Name = tuple[int, str, str]


class Expected(NamedTuple):
    """What was not looked up, and is as it nearly always is.

    Args:
        keys: of bets that were not rolled back before they came.
        rounds: which are not recorded yet.
        sessions: wallet, platform and id; they live.
    """

    keys: list[OperationKey]
    rounds: list[RoundKey]
    sessions: list[tuple[int, str, str]]


@dataclass(slots=True)
class _Left:
    """A wallet without debt, as a batch left it; the session it played in, its last bets, their rounds."""

    wallet: Wallet
    revision: int
    at: datetime
    session: str | None
    bets: tuple[Operation, ...]
    rounds: tuple[Round, ...]


class Recalled(NamedTuple):
    """What is remembered around some asks.

    Args:
        seats: one for each ask; None where it must be looked up.
        left: of the wallets on the seats, by their numbers.
        expected: of the asks that have a seat.
    """

    seats: list[Seat | None]
    left: dict[int, _Left]
    expected: Expected

    def seen(self) -> list[tuple[int, ...]]:
        """What changes whenever anything does, as `statements.seen`."""
        return [
            (
                number,
                its.wallet.cash_account_id,
                its.wallet.cash_version,
                its.wallet.sequence,
                its.revision,
                0,
            )
            for number, its in self.left.items()
        ]


@dataclass(slots=True)
class Memory:
    """Remembers wallets as long as that helps: whenever it was wrong, it is left alone for a while.

    Where several processes move the same players' money it is often wrong, and a batch that is decided twice
    costs more than one that is looked up.

    Args:
        most: wallets; those that moved longest ago are forgotten.
    """

    most: int = _MOST
    _left: "OrderedDict[_Name, _Left]" = field(default_factory=OrderedDict)
    _doubted: int = 0  # batches for which nothing is recalled
    _doubt: int = 1  # for how many, the next time it was wrong

    def recall(self, site_id: int, asks: Sequence[Ask], page: Page) -> Recalled:
        """Lay what is remembered onto the page; it is forgotten until it is kept again.

        Args:
            site_id: whose.
            asks: none of those that need locks.
            page: empty.
        """
        is_doubted, found = self._doubted > 0, self._left
        self._doubted -= is_doubted
        left: dict[_Name, _Left | None] = {}
        # All of a player's asks are decided upon one source.
        for ask in asks:
            name = (site_id, ask.player, ask.currency)
            its = left[name] if name in left else found.pop(name, None)
            left[name] = its if its is not None and not is_doubted and _fits(its, ask) else None
        recalled = Recalled([], {}, Expected([], [], []))
        for ask in asks:
            its = left[site_id, ask.player, ask.currency]
            recalled.seats.append(None if its is None else _seated(page, ask, its, recalled))
        return recalled

    def keep(
        self,
        site_id: int,
        page: Page,
        answers: Iterable[Answer],
        upon: Iterable[tuple[int, ...]],
        recalled: Recalled,
    ) -> None:
        """Remember how a batch left its wallets, now that it is written.

        Args:
            site_id: whose.
            page: the batch's.
            answers: the batch's; whoever was refused anything, or told again, is looked up the next time.
            upon: what was seen, and confirmed.
            recalled: what the batch had of memory.
        """
        if self._doubt > 1 and None not in recalled.seats:
            self._doubt -= 1
        revisions = {one[0]: one[4] for one in upon}
        for its in _as_left(page, answers, revisions, recalled):
            self._left[site_id, its.wallet.player, its.wallet.currency] = its
        while len(self._left) > self.most:
            self._left.popitem(last=False)

    def doubt(self) -> None:
        """It was wrong, and a batch was decided for nothing."""
        if self._doubt >= _OFTEN:
            self._left.clear()  # most likely somebody else has moved them all
        self._doubted = self._doubt
        self._doubt = min(2 * self._doubt, _LONGEST_DOUBT)

    def forget(self, site_id: int, asks: Iterable[Ask]) -> None:
        """Forget whose money is about to be moved by what does not keep them."""
        for ask in asks:
            self._left.pop((site_id, ask.player, ask.currency), None)


def _fits(left: _Left, ask: Ask) -> bool:
    """Whether all that a decision depends on is remembered, or expected."""
    if ask.session is not None and ask.session != left.session:
        return False
    if ask.type is Type.WITHDRAW and not ask.policy.withdraw_while_round_open:
        return False
    for told in left.bets:
        if told.key.key == ask.key:
            return False  # and is told again, most likely
    if ask.reference is None:
        # A bet's round is expected to be new; any other names one that is there.
        return (
            ask.round_id is None or ask.type in BETS or _round(left, ask.provider, ask.round_id) is not None
        )
    bet = _bet(left, ask.reference_key)
    return bet is not None and (bet.round_id is None or _round(left, bet.provider, bet.round_id) is not None)


def _bet(left: _Left, key: OperationKey | None) -> Operation | None:
    for bet in left.bets:
        if bet.key == key:
            return bet
    return None


def _round(left: _Left, provider: str, round_id: str) -> Round | None:
    for around in left.rounds:
        if around.key.round_id == round_id and around.key.provider == provider:
            return around
    return None


def _seated(page: Page, ask: Ask, left: _Left, recalled: Recalled) -> Seat:
    """Lay one ask's surroundings onto the page, and note what is expected of them."""
    wallet, expected = left.wallet, recalled.expected
    number = wallet.wallet_id
    recalled.left[number] = left
    page.wallets[number] = wallet
    page.at = max(page.at, left.at)
    expected.keys.append(ask.operation_key)
    if ask.session is not None:
        expected.sessions.append((number, ask.provider, ask.session))
    provider, round_id = ask.provider, ask.round_id
    if ask.reference is not None:
        bet = _bet(left, ask.reference_key)
        assert bet is not None, "it fits"
        page.operations[bet.key] = bet
        provider, round_id = bet.provider, bet.round_id
    if round_id is not None:
        around = _round(left, provider, round_id)
        if around is None:
            expected.rounds.append(RoundKey(number, provider, round_id))
        else:
            page.rounds[around.key] = around
    return Seat(True, wallet, True, False)  # noqa: FBT003  known; its session lives; no round is in the way


def _as_left(
    page: Page, answers: Iterable[Answer], revisions: Mapping[int, int], recalled: Recalled
) -> Iterator[_Left]:
    """Wallets as a batch left them."""
    found: dict[int, _Left | None] = {}
    for answer in answers:
        wallet = answer.wallet
        if wallet is None:
            continue
        number = wallet.wallet_id
        its = found[number] if number in found else _begun(wallet, revisions[number], page, recalled)
        found[number] = its if its is not None and _goes_on(its, answer) else None
    for key, around in page.rounds.items():
        its = found.get(key.wallet_id)
        if its is not None and _round(its, key.provider, key.round_id) is None:
            its.rounds = (*its.rounds, around)[-_LAST:]
    return (its for its in found.values() if its is not None)


def _begun(wallet: Wallet, revision: int, page: Page, recalled: Recalled) -> _Left:
    """One wallet as a batch left it, and what is known of it from before."""
    before = recalled.left.get(wallet.wallet_id)
    # A copy: the answers are still to be told, and the next batch changes what it finds.
    its = copied(wallet)
    if before is None:
        return _Left(its, revision, page.at, None, (), ())
    return _Left(its, revision, page.at, before.session, before.bets, before.rounds)


def _goes_on(left: _Left, answer: Answer) -> bool:
    """Add what one answer tells; false where the next call had better look."""
    if answer.code is not Code.OK or answer.duplicate or left.wallet.debt:
        return False
    left.session = answer.ask.session or left.session
    if answer.operation is not None and answer.operation.type in BETS:
        left.bets = (*left.bets, answer.operation)[-_LAST:]
    return True
