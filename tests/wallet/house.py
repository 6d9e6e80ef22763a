"""What the house does to both: campaigns of free rounds, floats, and wins that wait for a person."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

import pytest

from app import wallet
from app.kernel.money import Money
from app.wallet.contract import Refused
from tests.wallet.answers import Operation
from tests.wallet.favours import Grant, HeldWin
from tests.wallet.world import CURRENCIES, World

__all__ = ["GRANTS", "cancel_spins", "compare", "decide_held", "grant_spins", "pass_time", "prepay"]

# Campaigns that a story may grant, by what is narrow in them.
GRANTS: Final = {
    "spin": Grant("acme", "", 3),
    "dice": Grant("acme", "dice", 2),
    "cap": Grant("acme", "", 4, most=20),
    "soon over": Grant("acme", "", 3),
    "elsewhere": Grant("other", "", 3),
}


async def prepay(both: World, currency: str, minor: int) -> None:
    """Note that the operator has paid in advance; below nothing: that it was given money back."""
    both.grants += 1
    at, money, key = both.counter.clock.now(), Money(abs(minor), currency), f"prepaid-{both.grants}"
    deed = wallet.fund_float if minor > 0 else wallet.return_float
    reaches = minor > 0 or both.oracle.floats[currency] + minor >= 0
    with nullcontext() if reaches else pytest.raises(Refused):
        async with both.database.transaction() as tx:
            await deed(tx, both.counter.site_id, money, key, at=at)
    both.oracle.floats[currency] += minor if reaches else 0
    both.asked.append(("prepay", (currency, minor)))


async def grant_spins(both: World, player: str, currency: str, prefix: str, name: str) -> None:
    """Free rounds, once for each campaign and player."""
    at, made = both.counter.clock.now(), GRANTS[name]
    ends_at = at + (timedelta(minutes=30) if name == "soon over" else timedelta(days=365))
    wish = wallet.FreeRoundsWish(
        prefix + name, player, currency, made.provider, made.game, made.spins, ends_at, made.most
    )
    async with both.database.transaction() as tx:
        await wallet.grant_free_rounds(tx, both.counter.site_id, wish, at=at)
    both.oracle.grant(player, currency, prefix + name, replace(made))
    both.asked.append(("grant", wish))


async def cancel_spins(both: World, campaign: str) -> None:
    """No spin any more, but in sessions that are open."""
    both.counter.clock.advance(1)
    is_known = campaign in {name for _, _, name in both.oracle.grants}
    with nullcontext() if is_known else pytest.raises(Refused):
        async with both.database.transaction() as tx:
            at = both.counter.clock.now()
            await wallet.cancel_free_rounds(tx, both.counter.site_id, campaign, at=at)
    both.oracle.cancel(campaign)
    both.asked.append(("cancel", campaign))


async def pass_time(both: World) -> None:
    """An hour, after which the spins are over that were soon to be."""
    both.counter.clock.advance(3600)
    for (_, _, name), grant in both.oracle.grants.items():
        grant.is_over |= name.endswith("soon over")
    both.asked.append(("an hour later", ""))


async def decide_held(both: World, number: int, *, released: bool) -> None:
    """A person looks at one of the wins that are held, if there is any."""
    if not both.oracle.held:
        return
    win = both.oracle.held[number % len(both.oracle.held)]
    [found] = [one for one in await held_wins(both) if _held(one) == win]
    deed = wallet.let_go if released else wallet.take_back
    # What the platform has taken back itself a person does not take: the player would lose it twice.
    is_refused = not released and win.operation.reversed
    with pytest.raises(Refused) if is_refused else nullcontext():
        async with both.database.transaction() as tx:
            await deed(tx, both.counter.site_id, found.number, "looked at", at=both.counter.clock.now())
    if is_refused:
        return
    both.asked.append(("released" if released else "taken", win))
    both.oracle.decide_held(win, released=released)
    body: dict[str, Any] = {"playerExternalId": win.player, "currency": win.currency, "amount": 0}
    body |= {"transactionId": f"{win.player}-looked-{both.grants}", "providerId": "acme", "kind": "promo"}
    both.grants += 1
    # What a person gave is taken into the sequence with the next operation.
    await both.ask("win", body | {"gameCode": "aviator"})


async def held_wins(both: World) -> list[wallet.HeldWin]:
    """Of this story's players."""
    async with both.database.reading() as reader:
        found = await wallet.held_wins(reader, both.counter.site_id)
    return [one for one in found if one.player in both.oracle.players]


async def compare(both: World) -> None:
    """What is prepaid, what was taken and won of free rounds, and which wins wait for a person."""
    after = "\n".join(map(str, both.asked))
    foretold: Counter[tuple[object, ...]] = Counter()
    async with both.database.reading() as reader:
        for currency in CURRENCIES:
            left = await wallet.float_of(reader, both.counter.site_id, currency)
            assert left.minor == both.oracle.floats[currency], f"{currency} {left}\nafter {after}"
        for (player, currency, campaign), one in both.oracle.grants.items():
            foretold[campaign, player, currency, one.used, one.won, one.paid] += 1
        found = [
            (campaign, one.player, one.currency, one.grant.used, one.grant.won, one.grant.paid)
            for campaign in {name for _, _, name in both.oracle.grants}
            for one in await wallet.free_rounds_of(reader, both.counter.site_id, campaign)
        ]
    assert Counter(found) == foretold, f"{found}, not {foretold}\nafter {after}"
    held = sorted(str(_held(one)) for one in await held_wins(both))
    assert held == sorted(map(str, both.oracle.held)), f"{held}\nafter {after}"
    taken = sorted([str(one) for place in both.oracle.wallets for one in await _taken(both, *place)])
    assert taken == sorted(map(str, both.oracle.taken)), f"{taken}\nafter {after}"


async def _taken(both: World, player: str, currency: str) -> list[HeldWin]:
    """What a wallet's history says that persons took: each came back from where it was held just before."""
    found = []
    rows = [row for row in await both.history(player, currency) if row["applied"]]
    for back, row in pairwise(rows):
        if row["type"] == "reverse_win" and row["externalId"].startswith("sweeper-"):
            moved = row["balanceBefore"] - row["balanceAfter"]
            assert moved == row["amount"] == row["cashPart"] == back["amount"], row
            assert (back["type"], back["balanceAfter"]) == ("cashier", back["balanceBefore"] + moved), back
            found.append(HeldWin(player, currency, row["referenceId"], moved, Operation(None)))
    return found


def _held(one: wallet.HeldWin) -> HeldWin:
    return HeldWin(one.player, one.currency, one.win, one.minor, Operation(None))
