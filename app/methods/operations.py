"""What can be done with ways to pay: offer one, switch one off, remember a player's instrument, forget it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import Row
from sqlalchemy.sql import Executable

from app.kernel import ids
from app.kernel.masking import holds_card
from app.kernel.money import Money
from app.methods.destinations import DESTINATION_FIELDS, Destination
from app.methods.model import CATALOGUE, Direction, MethodUnavailable, Offer, check_accounts
from app.methods.queries import Instrument, InstrumentNotFound, instrument_of, offer_of
from app.methods.tables import instrument_trials, instruments, site_methods
from app.plumbing.database import Transaction

__all__ = [
    "note_trial",
    "offer_method",
    "order_accounts",
    "remember_instrument",
    "remove_instrument",
    "switch_method",
]

_KEY: Final = ("site_id", "method", "currency", "direction")
_Offered: TypeAlias = tuple[int, str, str, Direction]


async def offer_method(
    tx: Transaction,
    site_id: int,
    method: str,
    *,
    minimum: Money,
    maximum: Money,
    account: str,
    position: int | None = None,
    direction: Direction = Direction.DEPOSIT,
) -> Offer | None:
    """Offer a method at a site in the currency of its limits, or change its limits, account and place.

    `order_accounts` lets other accounts follow; they stay where the first one does. At another account it
    goes through that one alone. Without a position it stays at its place, and a new one stands at 0.

    Returns:
        the offer as it was until now; None where the method was not offered.

    Raises:
        MethodUnavailable: no such method in the catalogue, or nothing is paid out by it.
        CurrencyMismatch: the two limits differ in currency.
    """
    if method not in (CATALOGUE if direction is Direction.DEPOSIT else DESTINATION_FIELDS):
        raise MethodUnavailable(method=method)
    if maximum < minimum:
        raise ValueError("maximum below minimum")
    offered = (site_id, method, minimum.currency, direction)
    row = {
        "enabled": True,
        "minimum_minor": minimum.minor,
        "maximum_minor": maximum.minor,
        "account": account,
    }
    old = await _locked(tx, offered)
    if old is None:
        its = dict(zip(_KEY, offered, strict=True))
        adding = insert(site_methods).values(**its, **row, position=position or 0)
        if (await tx.execute(adding.on_conflict_do_nothing())).rowcount:
            return None
        old = await _locked(tx, offered)  # somebody else has offered it since we looked
        assert old is not None, "an offer is switched off, never deleted"
    followers = old.further_accounts if old.account == account else []
    place = old.position if position is None else position
    await _change(tx, offered, **row, further_accounts=followers, position=place)
    return offer_of(old) if old.enabled else None


async def order_accounts(
    tx: Transaction,
    site_id: int,
    method: str,
    currency: str,
    accounts: Sequence[str],
    *,
    direction: Direction = Direction.DEPOSIT,
) -> None:
    """Set through which provider accounts an offered method goes, the first to be asked standing first.

    Raises:
        MethodUnavailable: the site does not offer it in this currency and direction.
        BadAccounts: none, one of them twice, or too many. Whether they are there is for the caller to know.
    """
    check_accounts(accounts)
    first, *further = accounts
    await _change(tx, (site_id, method, currency, direction), account=first, further_accounts=further)


async def switch_method(
    tx: Transaction,
    site_id: int,
    method: str,
    currency: str,
    *,
    enabled: bool,
    direction: Direction = Direction.DEPOSIT,
) -> None:
    """Switch an offered method on or off.

    Raises:
        MethodUnavailable: the site does not offer it in this currency.
    """
    await _change(tx, (site_id, method, currency, direction), enabled=enabled)


async def _locked(tx: Transaction, offered: _Offered) -> Row[Any] | None:
    """The row of a method, offered now or before, which nobody else changes meanwhile."""
    return await tx.first(select(site_methods).where(_is(offered)).with_for_update())


async def _change(tx: Transaction, offered: _Offered, **values: object) -> None:
    done = await tx.execute(update(site_methods).where(_is(offered)).values(**values))
    if not done.rowcount:
        raise MethodUnavailable(method=offered[1])


def _is(offered: _Offered) -> ColumnElement[bool]:
    return and_(*(site_methods.c[name] == value for name, value in zip(_KEY, offered, strict=True)))


def _used() -> Executable:
    adding = insert(instruments)
    old, new = instruments.c, adding.excluded
    tells_nothing = new.fields == literal({}, JSONB)
    kept = case((old.account == new.account, old.fields), else_=old.fields.op("-")("token"))
    return adding.on_conflict_do_update(
        index_elements=["site_id", "player_id", "method", "fingerprint"],
        set_={
            "account": case((tells_nothing, old.account), else_=new.account),
            "masked": new.masked,
            "fields": case((tells_nothing, old.fields), else_=kept.op("||")(new.fields)),
            "last_used_at": new.last_used_at,
            "removed_at": None,
        },
    ).returning(instruments)


_USED = _used()  # built once: every deposit that is paid runs it


async def remember_instrument(
    tx: Transaction, site_id: int, player_id: str, destination: Destination, *, account: str, at: datetime
) -> Instrument:
    """Keep with what a player paid, or where a payout goes; one that is known is used again, and not new.

    What is told anew is added to what is known; a token of another account takes the place of the old one.
    One that was removed comes back.

    Args:
        tx: the caller's transaction.
        site_id, player_id: whose it is.
        destination: as `read_destination` gives it, tokenised; or made of what a provider told, without
            fields where it can only be recognised.
        account: the provider account that gave the token, or that carried out the payment.
        at: when it was used.

    Raises:
        ValueError: a card that is not tokenised, or a card number where none belongs; a fault of the code.
    """
    if destination.needs_token or not destination.fingerprint or holds_card(destination.masked):
        raise ValueError("this destination is not fit to be stored")
    used = {
        "site_id": site_id,
        "instrument_id": ids.new("ins", at=at),
        "player_id": player_id,
        "method": destination.method,
        "account": account,
        "masked": destination.masked,
        "fingerprint": destination.fingerprint,
        "fields": dict(destination.fields),
        "first_seen_at": at,
        "last_used_at": at,
    }
    return instrument_of(await tx.one(_USED, used))


async def note_trial(
    tx: Transaction, site_id: int, player_id: str, *, since: datetime, most: int, at: datetime
) -> bool:
    """Note that a number of a player's is asked about, before it is; what is older than that is forgotten.

    The caller holds back the player's other trials.

    Returns:
        False where so many were asked about since then already, and nothing happened.
    """
    its = (instrument_trials.c.site_id == site_id) & (instrument_trials.c.player_id == player_id)
    await tx.execute(delete(instrument_trials).where(its, instrument_trials.c.tried_at <= since))
    if (await tx.scalar(select(func.count()).where(its)) or 0) >= most:
        return False
    await tx.execute(
        insert(instrument_trials).values(
            site_id=site_id, trial_id=ids.new("try", at=at), player_id=player_id, tried_at=at
        )
    )
    return True


async def remove_instrument(
    tx: Transaction, site_id: int, player_id: str, instrument_id: str, *, at: datetime
) -> None:
    """Show a player's instrument no more. It stays known: money that came from it still has to go back there.

    Raises:
        InstrumentNotFound: the player has none of that id. One that was removed before stays removed.
    """
    done = await tx.execute(
        update(instruments)
        .where(
            instruments.c.site_id == site_id,
            instruments.c.instrument_id == instrument_id,
            instruments.c.player_id == player_id,
        )
        .values(removed_at=case((instruments.c.removed_at.is_(None), at), else_=instruments.c.removed_at))
    )
    if not done.rowcount:
        raise InstrumentNotFound
