"""How many players a process remembers, and when its memory is left alone. Pure."""

import itertools
from datetime import UTC, datetime

from app.wallet.contract import Answer
from app.wallet.memory import Left, Memory, Recalled, left_by
from app.wallet.rules import Page
from app.wallet.sheets import Seen, Sheet, copied
from app.wallet.terms import Code, Wallet
from tests.wallet.deeds import deposit

_NUMBERS = itertools.count(1)


def _batch(memory: Memory, name: str, cash: int = 10, *, is_after_all: bool = False) -> tuple[Recalled, Left]:
    """What a batch of one player finds, and how it leaves the wallet: with so much cash."""
    number, page = ord(name[0]), Page(datetime(2026, 11, 29, tzinfo=UTC))
    ask = deposit(f"d-{next(_NUMBERS)}", name)
    wallet = Wallet(number, f"ply_{name}", name, "KZT", False, 1, cash, 0, 2, 3, 1, 0)
    recalled = memory.recall(1, [ask], page, is_after_all=is_after_all)
    seen, sheet = Seen(number, 2, 1, 1, 0, 0, page.at), Sheet(page.at, [], [], [wallet], [], [])
    return recalled, left_by(1, page, [sheet], [Answer(ask, Code.OK, wallet)], [seen], recalled)


def _served(memory: Memory, *names: str) -> list[bool]:
    """Let a batch of each of these be written; who was remembered for it."""
    found = []
    for name in names:
        recalled, left = _batch(memory, name)
        memory.keep(left)
        found.append(recalled.seats != [None])
    return found


def _cash(recalled: Recalled) -> list[int]:
    """Of whoever is remembered."""
    return [seat.wallet.cash for seat in recalled.seats if seat is not None and seat.wallet is not None]


def test_those_who_were_served_longest_ago_are_forgotten() -> None:
    memory = Memory(most=2)
    assert _served(memory, "aigerim", "bolat", "dana", "bolat") == [False, False, False, True]
    assert _served(memory, "aigerim", "bolat", "dana") == [False, True, False]


def test_whom_a_batch_has_no_other_one_has() -> None:
    memory, page = Memory(), Page(datetime(2026, 11, 29, tzinfo=UTC))
    assert _served(memory, "aigerim", "aigerim") == [False, True]
    assert memory.recall(1, [deposit("x-1")], page).seats != [None]
    assert memory.recall(1, [deposit("x-2")], page).seats == [None]


def test_what_was_old_three_times_is_emptied() -> None:
    memory = Memory()
    for times, wait in ((2, 2), (3, 4)):
        _served(memory, "aigerim", "bolat")
        for _ in range(times):
            memory.was_old(1)
        assert _served(memory, *["erlan"] * wait) == [False] * wait, "so many are looked up"
        assert _served(memory, "bolat") == [times == 2], "and nothing is left in the end"


def test_being_right_makes_it_worth_more() -> None:
    memory = Memory()
    memory.was_old(1)
    _served(memory, "aigerim", "aigerim", "aigerim")
    memory.was_old(1)
    assert _served(memory, "aigerim", "aigerim") == [False, True], "for one batch again, not for two"


def test_what_one_will_leave_is_for_those_alone_who_are_written_after_it() -> None:
    memory = Memory()
    _, left = _batch(memory, "aigerim")
    memory.keep_ahead(left)
    assert _cash(_batch(memory, "aigerim")[0]) == []
    assert _cash(_batch(memory, "aigerim", is_after_all=True)[0]) == [10]
    assert _cash(_batch(memory, "aigerim", is_after_all=True)[0]) == [], "one has it, and no other"


def test_what_one_has_left_is_for_everybody_once_it_is_written() -> None:
    memory = Memory()
    _, left = _batch(memory, "aigerim")
    memory.keep_ahead(left)
    memory.ended(left, is_written=True)
    assert _cash(_batch(memory, "aigerim")[0]) == [10]


def test_what_was_not_written_is_forgotten() -> None:
    memory = Memory()
    _, left = _batch(memory, "aigerim")
    memory.keep_ahead(left)
    memory.ended(left, is_written=False)
    assert _cash(_batch(memory, "aigerim", is_after_all=True)[0]) == []


def test_what_the_next_one_will_leave_is_its_own_to_keep() -> None:
    memory = Memory()
    _, first = _batch(memory, "aigerim")
    memory.keep_ahead(first)
    recalled, second = _batch(memory, "aigerim", 20, is_after_all=True)
    memory.keep_ahead(second)
    memory.ended(first, is_written=True)
    assert _cash(recalled) == [10]
    assert _cash(_batch(memory, "aigerim")[0]) == [], "who comes now would not be written after the second"
    memory.ended(second, is_written=True)
    assert _cash(_batch(memory, "aigerim")[0]) == [20]


def test_behind_a_lost_connection_nothing_is_ahead() -> None:
    memory = Memory()
    _, left = _batch(memory, "aigerim")
    memory.keep_ahead(left)
    memory.clear()
    assert _cash(_batch(memory, "aigerim", is_after_all=True)[0]) == []
    memory.ended(left, is_written=True)
    assert _cash(_batch(memory, "aigerim")[0]) == []


def test_a_copy_of_a_wallet_is_equal_and_another() -> None:
    wallet = Wallet(1, "ply", "login", "KZT", True, *range(5, 15))
    assert copied(wallet) == wallet
    assert copied(wallet) is not wallet
