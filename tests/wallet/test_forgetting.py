"""How many players a process remembers, and when its memory is left alone. Pure."""

import itertools
from datetime import UTC, datetime

from app.wallet.contract import Answer
from app.wallet.memory import Memory
from app.wallet.rules import Page
from app.wallet.sheets import Seen, Sheet, copied
from app.wallet.terms import Code, Wallet
from tests.wallet.deeds import deposit

_NUMBERS = itertools.count(1)


def _served(memory: Memory, *names: str) -> list[bool]:
    """Let a batch of each of these be written; who was remembered for it."""
    found = []
    for name in names:
        number, page = ord(name[0]), Page(datetime(2026, 11, 29, tzinfo=UTC))
        ask = deposit(f"d-{next(_NUMBERS)}", name)
        wallet = Wallet(number, f"ply_{name}", name, "KZT", False, 1, 10, 0, 2, 3, 1, 0)
        recalled = memory.recall(1, [ask], page)
        found.append(recalled.seats != [None])
        seen, sheet = Seen(number, 2, 1, 1, 0, 0, page.at), Sheet(page.at, [], [], [wallet], [], [])
        memory.keep(1, page, [sheet], [Answer(ask, Code.OK, wallet)], [seen], recalled)
    return found


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


def test_a_copy_of_a_wallet_is_equal_and_another() -> None:
    wallet = Wallet(1, "ply", "login", "KZT", True, *range(5, 15))
    assert copied(wallet) == wallet
    assert copied(wallet) is not wallet
