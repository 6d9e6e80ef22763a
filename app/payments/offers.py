"""What a player can choose now: methods that the site offers, through an account that takes new orders.

And all that a new deposit must know of the one that is chosen, in one statement.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Text, bindparam, func, literal_column, or_, select

from app import merchants, methods, players, providers
from app.payments.states import Kind, Status
from app.payments.tables import payment_numbers, payments
from app.plumbing import switches
from app.plumbing.database import Built, Reader

__all__ = ["Wished", "first_account", "offered", "wished"]

# By their names: the statement is of another room, which adds these columns to its own.
_SITE: ColumnElement[int] = literal_column("site_method.site_id", payments.c.site_id.type)
_ACCOUNT: ColumnElement[str] = literal_column("site_method.account", Text())
_PLAYER = bindparam("of_player", type_=payments.c.player_id.type)
_UNFINISHED = (
    select(func.count())
    .select_from(payments)
    .where(
        payments.c.site_id == _SITE,
        payments.c.player_id == _PLAYER,
        payments.c.kind == Kind.DEPOSIT,
        or_(payments.c.status == Status.PENDING, payments.c.status == Status.PROCESSING),
    )
    .scalar_subquery()
)
# Built once: every deposit asks it.
_WISHED = Built(
    methods.offer_with(
        providers.gateway_on(_SITE, _ACCOUNT).label("gateway_on"),
        switches.stopped(_SITE, bindparam("by_switch", type_=Text())).label("is_stopped"),
        players.standing_of(_SITE, _PLAYER).label("standing"),
        _UNFINISHED.label("unfinished"),
        payment_numbers.next_value().label("number"),
    )
)


@dataclass(frozen=True, slots=True)
class Wished:
    """A method that a player has chosen to pay in by, and what a new deposit must know.

    Args:
        offer: as the site offers it.
        is_on: its first account takes new orders.
        is_stopped: the stop switch is on.
        is_active: the player is neither blocked nor closed.
        unfinished: how many deposits of the player are open.
        number: the new deposit's. Of a wish that is refused it is nobody's.
    """

    offer: methods.Offer
    is_on: bool
    is_stopped: bool
    is_active: bool
    unfinished: int
    number: int


async def wished(reader: Reader, session: players.Session, method: str, switch: str) -> Wished:
    """What a new deposit must know, by one statement, as every deposit asks it.

    Args:
        reader: a transaction that holds the player's row: of two at once the second counts the first.
        session: the player's.
        method: what the player chose.
        switch: which stop switch deposits obey.

    Raises:
        MethodUnavailable: unknown, not offered in the session's currency, or switched off.
    """
    asked = {
        "of_site": session.player.site_id,
        "in_currency": session.currency,
        "by_method": method,
        "in_direction": methods.Direction.DEPOSIT,
        "of_player": session.player.player_id,
        "by_switch": switch,
    }
    row = await reader.first(_WISHED, asked)
    found = methods.offer_in(row, method)
    assert row is not None, "there is an offer"
    is_on = providers.takes_orders(row.gateway_on)
    is_active = row.standing == players.PlayerStatus.ACTIVE
    return Wished(found, is_on, bool(row.is_stopped), is_active, row.unfinished, row.number)


async def offered(reader: Reader, site: merchants.Site, currency: str) -> list[methods.Offer]:
    """Every method of a site in a currency that somebody can carry out now, in the site's order.

    Not those all of whose accounts are switched off, of as many as the site lets be asked.
    """
    offers = await methods.offers(reader, site.site_id, currency)
    if not offers:
        return []
    accounts = await providers.accounts_of_site(reader, site.site_id)
    on = {one.account for one, is_on in accounts if is_on}
    return [offer for offer in offers if on.intersection(_asked(site, offer))]


async def first_account(
    reader: Reader, site: merchants.Site, offer: methods.Offer
) -> providers.ProviderAccount:
    """The first account of a method that is not switched off, among those that the site lets be asked.

    Raises:
        MethodUnavailable: all of them are.
    """
    for name in _asked(site, offer):
        try:
            return await providers.account(reader, site.site_id, name, must_be_enabled=True)
        except providers.AccountNotFound:
            continue
    raise methods.MethodUnavailable(method=offer.method.code)


def _asked(site: merchants.Site, offer: methods.Offer) -> tuple[str, ...]:
    return offer.accounts[: site.most_attempts]
