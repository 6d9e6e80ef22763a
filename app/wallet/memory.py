"""What this process remembers of wallets: a cache that makes nothing true.

Whoever has just played will most likely play on, and nobody else will have moved the money: then there is
nothing to look up. A decision from memory is optimistic, as one from a look-up is: the statement that writes
it makes sure that the wallet stands as it was left (`wallet_confirm`), and that what was never looked up is
as it nearly always is (what is `Expected`). Otherwise nothing is written.

A player is remembered by one batch at a time: taken out when it is recalled, put back once the batch has
committed. So whatever fails is forgotten. Large batches do not wait for each other's commit to be decided:
what one will leave is remembered ahead, for those alone that are written after it.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Self

from app.wallet.contract import Answer
from app.wallet.model import BETS
from app.wallet.rules import Page
from app.wallet.sheets import Seat, Seen, Sheet, copied
from app.wallet.terms import Ask, Code, Operation, OperationKey, Round, RoundKey, Type, Wallet

__all__ = ["Expected", "Left", "Memory", "Recalled", "left_by"]

_MOST: Final = 10_000  # players; 2.4 kB each
# Of each player: the last bets, which wins name, the rounds that were played last, and what was told last.
_LAST: Final = 2
_LAST_TOLD: Final = 4
# Batches, of one site. Where memory is old each time, so many are looked up for each that is decided twice.
_LONGEST_DOUBT: Final = 128
_OFTEN: Final = 4  # the doubt that it has come to when it was old three times, and not right in between

# Site, and the site's id of the player.
_Name = tuple[int, str]


class Expected(NamedTuple):
    """What was not looked up, and is as it nearly always is.

    Args:
        keys: of operations that were not rolled back before they came.
        rounds: which are not recorded yet.
        sessions: wallet, platform and id; they live.
    """

    keys: list[OperationKey]
    rounds: list[RoundKey]
    sessions: list[tuple[int, str, str]]


@dataclass(slots=True)
class _Remembered:
    """The wallet that a player moved last, without debt. Not frozen: there is one for each call.

    Args:
        moved_at: of its last operation.
        session: the last one that lived.
        told: the keys of the last calls.
        bets: the last ones.
        rounds: those played last.
        joins: some round of it had several bets: then a round that is not remembered may well be recorded.
    """

    wallet: Wallet
    revision: int
    moved_at: datetime | None
    session: str | None = None
    told: tuple[str, ...] = ()
    bets: tuple[Operation, ...] = ()
    rounds: tuple[Round, ...] = ()
    joins: bool = False


class Recalled(NamedTuple):
    """What is remembered around some asks.

    Args:
        seats: one for each ask; None where it must be looked up.
        wallets: those on the seats, by their numbers.
        expected: of the asks that have a seat.
        joining: players without a seat whose rounds had several bets.
    """

    seats: list[Seat | None]
    wallets: dict[int, _Remembered]
    expected: Expected
    joining: set[str]

    @classmethod
    def nothing(cls, joining: set[str]) -> Self:
        """Nothing is remembered but these."""
        return cls([], {}, Expected([], [], []), joining)

    def joining_players(self) -> set[str]:
        """All players whose rounds had several bets, with a seat or without."""
        return self.joining | {its.wallet.player for its in self.wallets.values() if its.joins}

    def seen(self) -> list[Seen]:
        """What the writing statement holds them against."""
        found = []
        for its in self.wallets.values():
            own = its.wallet
            numbers = (own.wallet_id, own.cash_account_id, own.cash_version, own.sequence, its.revision, 0)
            found.append(Seen(*numbers, its.moved_at))
        return found


class Left(NamedTuple):
    """How a batch leaves its wallets.

    Args:
        site_id: whose.
        players: without those whom the next batch had better look up.
        recalled: what the batch had of memory.
    """

    site_id: int
    players: Mapping[_Name, _Remembered]
    recalled: Recalled


@dataclass(slots=True)
class _Doubt:
    """How much a site's memory is worth: exponential back-off."""

    left: int = 0  # batches for which nothing is recalled
    longer: int = 1  # for how many, the next time it is old


@dataclass(slots=True)
class Memory:
    """Remembers players, the least recently served forgotten first, as long as that helps a site.

    Where several processes move the same players' money, memory is mostly old, and a batch that is decided
    twice costs more than one that is looked up. So it is left alone, each time for twice as long.

    Args:
        most: players.
    """

    most: int = _MOST
    _players: "OrderedDict[_Name, _Remembered]" = field(default_factory=OrderedDict)
    _ahead: "dict[_Name, _Remembered]" = field(default_factory=dict)  # of batches that are not written yet
    _doubts: dict[int, _Doubt] = field(default_factory=dict)

    def recall(
        self, site_id: int, asks: Sequence[Ask], page: Page, *, is_after_all: bool = False
    ) -> Recalled:
        """Lay what is remembered onto the page; it is forgotten until it is kept again.

        Args:
            site_id: whose.
            asks: none of those that need locks.
            page: empty.
            is_after_all: this batch is written after all that are remembered ahead of any of its players.
        """
        doubt = self._doubts.setdefault(site_id, _Doubt())
        is_doubted, players = doubt.left > 0, self._players
        doubt.left -= is_doubted
        recalled = Recalled.nothing(set())
        found: dict[str, _Remembered | None] = {}
        coming: set[tuple[str, OperationKey]] = set()
        # All of a player's asks are decided upon one source.
        for ask in asks:
            player = ask.player
            if player in found:
                its = found[player]
            else:
                name = site_id, player
                its = self._ahead.pop(name, None) if is_after_all else None
                its = players.pop(name, None) if its is None else its
            if its is not None and (is_doubted or not _fits(its, ask, coming)):
                if its.joins:
                    recalled.joining.add(player)
                its = None
            found[player] = its
            if ask.type in BETS:
                coming.add((player, ask.operation_key))
        for ask in asks:
            its = found[ask.player]
            recalled.seats.append(None if its is None else _seated(page, ask, its, recalled))
        return recalled

    def keep(self, left: Left) -> None:
        """Remember how a batch left its wallets, now that it is written."""
        self._keep(left.site_id, left.players, left.recalled)

    def keep_ahead(self, left: Left) -> None:
        """Remember how a batch will leave its wallets, until it has `ended`."""
        self._ahead |= left.players

    def ended(self, left: Left, *, is_written: bool) -> None:
        """Keep what the next batch has not recalled already, or forget it."""
        # The batch after it may have remembered the same player ahead by now: that is its own to keep.
        own = {name: its for name, its in left.players.items() if self._ahead.get(name) is its}
        for name in own:
            del self._ahead[name]
        if is_written:
            self._keep(left.site_id, own, left.recalled)

    def _keep(self, site_id: int, players: Mapping[_Name, _Remembered], recalled: Recalled) -> None:
        doubt = self._doubts[site_id]
        if doubt.longer > 1 and 2 * recalled.seats.count(None) < len(recalled.seats):
            doubt.longer -= 1
        self._players |= players
        while len(self._players) > self.most:
            self._players.popitem(last=False)

    def was_old(self, site_id: int) -> None:
        """Somebody else has moved what was remembered, and a batch was decided for nothing."""
        doubt = self._doubts.setdefault(site_id, _Doubt())
        if doubt.longer >= _OFTEN:
            # As after a switch from one process to another: most of it is old.
            for name in [one for one in self._players if one[0] == site_id]:
                del self._players[name]
        doubt.left = doubt.longer
        doubt.longer = min(2 * doubt.longer, _LONGEST_DOUBT)

    def clear(self) -> None:
        """Forget all: behind a lost connection there may be another database, without the last commits."""
        self._players.clear()
        self._ahead.clear()

    def forget(self, site_id: int, asks: Iterable[Ask]) -> None:
        """Forget whose money is moved by what does not keep them."""
        for ask in asks:
            self._players.pop((site_id, ask.player), None)


def _fits(its: _Remembered, ask: Ask, coming: Collection[tuple[str, OperationKey]]) -> bool:
    """Whether all that a decision depends on is remembered, expected, or decided just before it.

    Args:
        its: the wallet that is remembered of the ask's player.
        ask: to be decided.
        coming: players and keys of the bets that stand before it in its batch.
    """
    if ask.currency != its.wallet.currency or (ask.session is not None and ask.session != its.session):
        return False
    if ask.type is Type.WITHDRAW and not ask.policy.withdraw_while_round_open:
        return False
    if ask.key in its.told:
        return False  # it is told again, most likely
    if ask.reference is None:
        # A bet's round is expected to be new; any other names one that is there.
        is_new = ask.type in BETS and not its.joins
        return is_new or ask.round_id is None or _round(its, ask.provider, ask.round_id) is not None
    if (ask.player, ask.reference_key) in coming:
        return True  # it stands on the page by then, with its round
    bet = _bet(its, ask.reference_key)
    return bet is not None and (bet.round_id is None or _round(its, bet.provider, bet.round_id) is not None)


def _bet(its: _Remembered, key: OperationKey | None) -> Operation | None:
    for bet in its.bets:
        if bet.key == key:
            return bet
    return None


def _round(its: _Remembered, provider: str, round_id: str) -> Round | None:
    for around in its.rounds:
        if around.key.round_id == round_id and around.key.provider == provider:
            return around
    return None


def _seated(page: Page, ask: Ask, its: _Remembered, recalled: Recalled) -> Seat:
    """Lay one ask's surroundings onto the page, and note what is expected of them."""
    wallet, expected = its.wallet, recalled.expected
    number = wallet.wallet_id
    if number not in recalled.wallets:
        recalled.wallets[number] = its
        page.wallets[number] = wallet
        if its.moved_at is not None:
            page.at = max(page.at, its.moved_at)
    expected.keys.append(ask.operation_key)
    if ask.session is not None:
        expected.sessions.append((number, ask.provider, ask.session))
    provider, round_id = ask.provider, ask.round_id
    if ask.reference is not None:
        bet = _bet(its, ask.reference_key)
        if bet is None:
            return _seat(wallet)  # it comes in this very batch, and says itself what is expected of its round
        page.operations[bet.key] = bet
        provider, round_id = bet.provider, bet.round_id
    if round_id is not None:
        around = _round(its, provider, round_id)
        if around is None:
            expected.rounds.append(RoundKey(number, provider, round_id))
        else:
            page.rounds[around.key] = around
    return _seat(wallet)


def _seat(wallet: Wallet) -> Seat:
    return Seat(is_known=True, wallet=wallet, session_ok=True, round_open=False)


def left_by(
    site_id: int,
    page: Page,
    sheets: Iterable[Sheet],
    answers: Iterable[Answer],
    upon: Iterable[Seen],
    recalled: Recalled,
) -> Left:
    """Wallets as a batch leaves them.

    Args:
        site_id: whose.
        page: the batch's.
        sheets: what is written; nothing of them is read again.
        answers: the batch's; whoever was refused anything, or told again, is looked up the next time.
        upon: what was seen, and is confirmed.
        recalled: what the batch had of memory.
    """
    moved = {wallet.wallet_id: sheet.at for sheet in sheets for wallet in sheet.wallets}
    confirmed = {one.wallet_id: (one.revision, moved.get(one.wallet_id, one.moved_at)) for one in upon}
    players = {(site_id, its.wallet.player): its for its in _left(page, answers, confirmed, recalled)}
    return Left(site_id, players, recalled)


def _left(
    page: Page,
    answers: Iterable[Answer],
    confirmed: Mapping[int, tuple[int, datetime | None]],
    recalled: Recalled,
) -> Iterator[_Remembered]:
    """Wallets as a batch left them; `confirmed`: their revision, and the instant of their last operation."""
    found: dict[int, _Remembered | None] = {}
    for answer in answers:
        wallet = answer.wallet
        if wallet is None:
            continue
        number = wallet.wallet_id
        its = found[number] if number in found else _begun(wallet, confirmed.get(number), recalled)
        found[number] = its if its is not None and _goes_on(its, answer) else None
    for key, around in page.rounds.items():
        its = found.get(key.wallet_id)
        if its is not None:
            # Played now, so it is the last one.
            others = [one for one in its.rounds if one is not around]
            its.rounds = (*others, around)[-_LAST:]
            its.joins |= around.open_bets > 1
    return (its for its in found.values() if its is not None)


def _begun(
    wallet: Wallet, confirmed: tuple[int, datetime | None] | None, recalled: Recalled
) -> _Remembered | None:
    """One wallet as a batch left it, and what is known of it from before."""
    if confirmed is None:
        return None
    before = recalled.wallets.get(wallet.wallet_id)
    # A copy: the answers are still to be told, and the next batch changes what it finds. Of a bet it changes
    # nothing that is told: nothing is rolled back without locks.
    its = _Remembered(copied(wallet), *confirmed, joins=wallet.player in recalled.joining)
    if before is not None:
        its.session, its.told, its.joins = before.session, before.told, before.joins
        its.bets, its.rounds = before.bets, before.rounds
    return its


def _goes_on(its: _Remembered, answer: Answer) -> bool:
    """Add what one answer tells; false where the next call had better look."""
    if answer.code is not Code.OK or answer.duplicate or its.wallet.debt:
        return False
    its.session = answer.ask.session or its.session
    its.told = (*its.told, answer.ask.key)[-_LAST_TOLD:]
    operation = answer.operation
    if operation is not None and operation.type in BETS:
        if not operation.applied:
            return False  # it was rolled back before it came: nothing may be won by it, nor is that forgotten
        its.bets = (*its.bets, operation)[-_LAST:]
    return True
