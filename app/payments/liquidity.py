"""Which provider account can pay what waits, so that the queue is held rather than declined.

A part of a withdrawal that nobody was asked for at its account may go to another account of its method
instead, where its own has too little money or is switched off: nothing was sent, and what people approved
names amounts and destinations, no accounts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from app import providers
from app.kernel.money import Money
from app.payments.cascade import may_be_next
from app.payments.legs import Leg
from app.payments.queries import Attempt, Payment
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["Funding", "elsewhere", "funding_of", "switched_on", "why_not_funded", "why_off"]

# Eight parts at three accounts have 9,840 places to look at; at most a tenth of a second.
_MOST_LOOKS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Funding:
    """Where what waits goes, as far as is known of the accounts and what they hold.

    Args:
        short: which accounts cannot pay what waits for them, and what is known of the others, in words for
            staff; empty where each can.
        instead: the accounts to which legs go instead of their own, by the number of the leg: where all that
            waits can be paid so, and not otherwise.
    """

    short: str = ""
    instead: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Till:
    """What can be paid out of an account now.

    Args:
        account: its name.
        holds: nothing where it is switched off; None: it does not say, and is taken to have enough.
        is_on: it takes new orders.
        is_silent: its provider could have said what it holds, and did not.
    """

    account: str
    holds: Money | None
    is_on: bool = True
    is_silent: bool = False

    def has(self, amount: Money) -> bool:
        """Whether as much can be paid out of it."""
        return self.holds is None or amount <= self.holds


async def switched_on(
    reader: Reader, site_id: int, names: Iterable[str]
) -> dict[str, providers.ProviderAccount]:
    """Those of a site's accounts that take new orders, by their names."""
    found = {}
    for name in sorted(names):
        try:
            found[name] = await providers.account(reader, site_id, name, must_be_enabled=True)
        except providers.AccountNotFound:
            continue
    return found


async def why_off(reader: Reader, site_id: int, names: Collection[str]) -> str:
    """Which of a site's accounts take no new orders, in words for staff; empty where all of them do."""
    gone = set(names) - (await switched_on(reader, site_id, names)).keys()
    return "; ".join(_off(name) for name in sorted(gone))


async def funding_of(
    pipes: Pipes,
    found: Payment,
    own: Mapping[str, providers.ProviderAccount],
    waiting: Sequence[Leg],
    tries: Collection[Attempt],
) -> Funding:
    """Ask the accounts of what waits what they hold, and where one cannot pay, the others that may.

    A balance that could not be had holds nothing up: the provider itself will say. But nothing is sent
    elsewhere upon it, where another provider could have told.

    Args:
        pipes: no transaction is open.
        found: the payout.
        own: of the accounts of its legs that wait to be sent, those that are switched on.
        waiting: these legs.
        tries: every try of the payout.
    """
    needed = _needed(waiting)
    tills = await _tills(pipes, own, needed, found.amount.currency)
    is_enough = all(tills[name].has(amount) for name, amount in needed.items())
    if is_enough and not any(_refused_at(leg, tries) for leg in waiting):
        return Funding()
    async with pipes.database.reading() as reader:
        ways = {leg.leg: await _way(reader, found, leg, tries) for leg in waiting}
        if is_enough and all(leg.account in ways[leg.leg].accounts for leg in waiting):
            return Funding()
        others = {name for way in ways.values() for name in way.accounts} - needed.keys()
        further = await switched_on(reader, found.site_id, others)
    tills |= await _tills(pipes, further, others, found.amount.currency)
    return Funding(_short(waiting, tries, ways, tills), _placed(waiting, ways, tills))


async def why_not_funded(
    tx: Transaction, found: Payment, waiting: Sequence[Leg], tries: Collection[Attempt], funding: Funding
) -> str:
    """Why what waits is not sent where it was found that it can be paid, now that nothing moves; or empty.

    Each leg's own account must be switched on still. The other one, and an own one that it was not asked at
    after another's refusal, must be among those to which it may go at this moment.

    Args:
        tx: holds the payment's lock.
        found: the payout.
        waiting: its legs that wait to be sent, the same as were looked at.
        tries: every try of it.
        funding: what was found before the lock was taken.
    """
    if funding.short and not funding.instead:
        return funding.short
    stay = {leg.account for leg in waiting if leg.leg not in funding.instead}
    off = await why_off(tx, found.site_id, stay)
    if off:
        return off
    for leg in waiting:
        to = funding.instead.get(leg.leg, leg.account)
        is_chosen = to != leg.account or _refused_at(leg, tries)
        if is_chosen and to not in (await _way(tx, found, leg, tries)).accounts:
            return "; ".join(filter(None, (funding.short, _barred(to))))
    return ""


def elsewhere(waiting: Sequence[Leg], funding: Funding) -> dict[str, object]:
    """What the history says of legs that go to another account than theirs: where, after which, and why."""
    went = [leg for leg in waiting if leg.leg in funding.instead]
    if not went:
        return {}
    to, after = [funding.instead[leg.leg] for leg in went], [leg.account for leg in went]
    return {"next_account": ", ".join(to), "after": ", ".join(after), "short": funding.short}


def _refused_at(leg: Leg, tries: Collection[Attempt]) -> str:
    """The account that was asked for a leg before it was to go to its own; empty where its own was asked."""
    asked = [one.account for one in tries if one.leg == leg.leg]
    return asked[-1] if asked and leg.account not in asked else ""


async def _way(reader: Reader, found: Payment, leg: Leg, tries: Collection[Attempt]) -> providers.Route:
    """To which accounts a leg may go, its own first, and why to no other.

    To its own alone where it was sent there before, whatever became of it: what follows then, evidence says.
    That it waits for an account after another's refusal is no promise: who may be next is asked when it is
    sent, for the order may have become another one since, or shorter.

    Args:
        reader: a snapshot, or the transaction that holds the payment's lock.
        found: the payout.
        leg: a part of it that waits to be sent.
        tries: every try of the payout.
    """
    own = (leg.account,)
    if any(one.leg == leg.leg and one.account == leg.account for one in tries):
        return providers.Route(own, why=f"it was sent to {leg.account} before")
    refused_at = _refused_at(leg, tries)
    # One that is switched off says so by itself.
    if refused_at and await providers.able(reader, found.site_id, own, providers.Cap.PAYOUT):
        chosen = await may_be_next(reader, found, replace(leg, account=refused_at), tries)
        if leg.account not in chosen.accounts:
            return chosen
    route = await may_be_next(reader, found, leg, tries)
    return replace(route, accounts=own + route.accounts)


def _needed(waiting: Sequence[Leg]) -> dict[str, Money]:
    """What each account is to pay of what waits for it."""
    needed: dict[str, Money] = {}
    for leg in waiting:
        needed[leg.account] = needed.get(leg.account, Money(0, leg.amount.currency)) + leg.amount
    return needed


async def _tills(
    pipes: Pipes, on: Mapping[str, providers.ProviderAccount], names: Iterable[str], currency: str
) -> dict[str, _Till]:
    """What can be paid out of each of these accounts; of those that are not `on` nothing, and nobody asks."""
    tills = {name: _Till(name, Money(0, currency), is_on=False) for name in names}
    for name, account in on.items():
        gateway = providers.gateway_of(account)
        can_say = providers.Cap.BALANCE in gateway.caps
        holds = await gateway.balance(pipes.http, account, currency) if can_say else None
        tills[name] = _Till(name, holds, is_silent=can_say and holds is None)
    return tills


def _short(
    waiting: Sequence[Leg],
    tries: Collection[Attempt],
    ways: Mapping[int, providers.Route],
    tills: Mapping[str, _Till],
) -> str:
    """Which accounts cannot pay what waits for them; of each other one what is known, or why it may not."""
    needed = _needed(waiting)
    lacking = [name for name, amount in needed.items() if not tills[name].has(amount)]
    barred = [leg.leg for leg in waiting if leg.account not in ways[leg.leg].accounts]
    stuck = [leg.leg for leg in waiting if leg.account in lacking or leg.leg in barred]
    others = {name for leg in waiting for name in ways[leg.leg].accounts if name != leg.account}
    asked = {one.account for one in tries if one.leg in stuck}
    words = [
        *(_lack(tills[name], needed[name]) for name in lacking),
        *(_barred(leg.account) for leg in waiting if leg.leg in barred and leg.account not in lacking),
        *(_said(tills[name]) for name in sorted(others - {*lacking})),
        *(f"{name} was asked before" for name in sorted(asked - others - {*lacking})),
        *(ways[number].why for number in stuck),
    ]
    return "; ".join(dict.fromkeys(filter(None, words)))


def _lack(till: _Till, needed: Money) -> str:
    """In which way an account cannot pay what waits for it."""
    if not till.is_on:
        return _off(till.account)
    return f"the provider account {till.account} holds {till.holds}, {needed} is needed"


def _off(name: str) -> str:
    return f"the provider account {name} is switched off"


def _barred(name: str) -> str:
    return f"{name} may not be asked any more"


def _said(till: _Till) -> str:
    """What is known of an account to which something might go."""
    if not till.is_on:
        return f"{till.account} is switched off"
    return f"{till.account} does not say" if till.holds is None else f"{till.account} holds {till.holds}"


def _placed(
    waiting: Sequence[Leg], ways: Mapping[int, providers.Route], tills: Mapping[str, _Till]
) -> dict[int, str]:
    """Which legs go elsewhere so that every account can pay all of its own; none where that cannot be.

    Every way to place them is looked at, until one fits: who has the fewest accounts that can pay it first,
    then the largest, each at its own account before another. Should there be more ways than anybody waits
    for (`_MOST_LOOKS`), none is found, and it is looked at again later. An account of which nothing is known
    has enough, but nothing is sent elsewhere upon silence.
    """

    def choice(leg: Leg) -> list[str]:
        heard = [name for name in ways[leg.leg].accounts if name == leg.account or not tills[name].is_silent]
        return [name for name in heard if tills[name].has(leg.amount)]

    order = sorted(waiting, key=lambda leg: (len(choice(leg)), -leg.amount.minor))
    sums = [leg.amount.minor for leg in order]
    holds = {name: till.holds.minor for name, till in tills.items() if till.holds is not None}
    places = _places([choice(leg) for leg in order], sums, holds)
    placed = zip(order, places, strict=False)  # none where there are none
    return {leg.leg: name for leg, name in placed if name != leg.account}


def _places(choices: Sequence[Sequence[str]], sums: Sequence[int], holds: Mapping[str, int]) -> list[str]:
    """Where each of these sums is paid, so that no account pays more than it holds; empty where it cannot be.

    What is left in the accounts after the first so many sums says all about the rest of them: from where no
    way led on once, none does.

    Args:
        choices: the accounts that each sum may be paid at, the preferred one first.
        sums: in minor units of one currency.
        holds: what each account holds; one that is not among them has enough.
    """
    dead_ends: set[tuple[int, tuple[int, ...]]] = set()
    names = sorted(holds)

    def onward(number: int, left: Mapping[str, int]) -> list[str] | None:
        if number == len(sums):
            return []
        here = (number, tuple(left[name] for name in names))
        if here in dead_ends or len(dead_ends) >= _MOST_LOOKS:
            return None
        for name in choices[number]:
            rest = left.get(name, sums[number]) - sums[number]
            if rest < 0:
                continue
            others = onward(number + 1, {**left, name: rest} if name in left else left)
            if others is not None:
                return [name, *others]
        dead_ends.add(here)
        return None

    return onward(0, holds) or []
