"""Which provider account has the money for what waits, so that the queue is held rather than declined.

A part of a withdrawal that nobody was asked for at its account may go to another account of its method
instead: nothing was sent, and what people approved names amounts and destinations, no accounts.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app import providers
from app.kernel.money import Money
from app.payments.cascade import may_be_next
from app.payments.legs import Leg
from app.payments.queries import Attempt, Payment
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["Funding", "elsewhere", "funding_of", "is_funded"]


@dataclass(frozen=True, slots=True)
class Funding:
    """Where what waits goes, as far as the providers tell what they hold.

    Args:
        short: which accounts hold too little, in words for staff; empty where none does.
        instead: the accounts to which legs go instead of their own, by the number of the leg: where all that
            waits can be paid so, and not otherwise.
    """

    short: str = ""
    instead: Mapping[int, str] = field(default_factory=dict)


async def funding_of(
    pipes: Pipes,
    found: Payment,
    accounts: Sequence[providers.ProviderAccount],
    waiting: Sequence[Leg],
    tries: Collection[Attempt],
) -> Funding:
    """Ask the accounts of what waits what they hold, and where that is too little, the others that may pay.

    A balance that could not be had holds nothing up: the provider itself will say. But nothing is sent
    elsewhere upon it, where another provider could have told.

    Args:
        pipes: no transaction is open.
        found: the payout.
        accounts: those of its legs that wait to be sent, each once.
        waiting: these legs.
        tries: every try of the payout.
    """
    needed: dict[str, Money] = {}
    for leg in waiting:
        needed[leg.account] = needed.get(leg.account, Money(0, leg.amount.currency)) + leg.amount
    own = {account.account: account for account in accounts}
    currency = found.amount.currency
    holds = {name: await _balance(pipes, account, currency) for name, account in own.items()}
    lacks = [name for name, there in holds.items() if there is not None and there < needed[name]]
    if not lacks:
        return Funding()
    short = [f"the provider account {name} holds {holds[name]}, {needed[name]} is needed" for name in lacks]
    async with pipes.database.reading() as reader:
        others = {leg.leg: await _others_of_leg(reader, found, leg, tries) for leg in waiting}
        names = sorted({name for some in others.values() for name in some} - own.keys())
        further = {name: await providers.account(reader, found.site_id, name) for name in names}
    for name, account in further.items():
        holds[name] = await _balance(pipes, account, currency)
        there = holds[name]
        short.append(f"{name} does not say" if there is None else f"{name} holds {there}")
    can_tell = {name for name, account in {**own, **further}.items() if _tells(account)}
    silent = {name for name in can_tell if holds[name] is None}
    may_go = {number: [name for name in some if name not in silent] for number, some in others.items()}
    return Funding("; ".join(short), _placed(waiting, may_go, holds))


async def is_funded(
    tx: Transaction, found: Payment, parts: Sequence[Leg], tries: Collection[Attempt], funding: Funding
) -> bool:
    """Whether the accounts hold enough, or others do to which the legs may go still, now that nothing moves.

    The caller holds the payment's lock.
    """
    went = [leg for leg in parts if leg.leg in funding.instead]
    for leg in went:
        if funding.instead[leg.leg] not in await _others_of_leg(tx, found, leg, tries):
            return False
    return bool(went) or not funding.short


def elsewhere(waiting: Sequence[Leg], funding: Funding) -> dict[str, object]:
    """What the history says of legs that go to another account than theirs: where, after which, and why."""
    went = [leg for leg in waiting if leg.leg in funding.instead]
    if not went:
        return {}
    to, after = [funding.instead[leg.leg] for leg in went], [leg.account for leg in went]
    return {"next_account": ", ".join(to), "after": ", ".join(after), "short": funding.short}


async def _others_of_leg(
    reader: Reader, found: Payment, leg: Leg, tries: Collection[Attempt]
) -> Sequence[str]:
    """The accounts to which a leg may go instead of its own, in the site's order.

    None where it was sent to its own before, whatever became of it: what follows then, evidence says.

    Args:
        reader: a snapshot, or the transaction that holds the payment's lock.
        found: the payout.
        leg: a part of it that waits to be sent.
        tries: every try of the payout.
    """
    if any(one.leg == leg.leg and one.account == leg.account for one in tries):
        return []
    return (await may_be_next(reader, found, leg, tries)).accounts


def _placed(
    waiting: Sequence[Leg], may_go: Mapping[int, Sequence[str]], holds: Mapping[str, Money | None]
) -> dict[int, str]:
    """Which legs go elsewhere so that every account can pay all of its own; none where that is not found.

    Who can go nowhere else is placed first, then the largest. An account of which nothing is known has
    enough.
    """
    left, instead = dict(holds), {}
    for leg in sorted(waiting, key=lambda one: (bool(may_go[one.leg]), -one.amount.minor)):
        for name in (leg.account, *may_go[leg.leg]):
            there = left[name]
            if there is None or leg.amount <= there:
                left[name] = None if there is None else there - leg.amount
                break
        else:
            return {}
        if name != leg.account:
            instead[leg.leg] = name
    return instead


def _tells(account: providers.ProviderAccount) -> bool:
    return providers.Cap.BALANCE in providers.gateway_of(account).caps


async def _balance(pipes: Pipes, account: providers.ProviderAccount, currency: str) -> Money | None:
    if not _tells(account):
        return None
    return await providers.gateway_of(account).balance(pipes.http, account, currency)
