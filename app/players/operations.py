"""What can be done with players: let one in with a key, use the key, forget habits, block."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import (
    Boolean,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from app import merchants
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.ids import PlayerId
from app.players.model import KEY_IDLE, KEY_LIFETIME, PERSONAL_FIELDS, Player, PlayerStatus, Session
from app.players.queries import PlayerNotFound
from app.players.tables import players, sessions
from app.plumbing.database import Built, Transaction, Write

__all__ = [
    "CurrencyNotOffered",
    "forget_habits",
    "forget_sessions",
    "known_player",
    "method_remembered",
    "obtain_key",
    "set_status",
    "use_key",
]

_KEY_BYTES = 24  # 192 random bits; protocol.md section 15 asks for 128
_WISHES = frozenset(
    {
        "amount_series",
        "ps_range",
        "deposit_range",
        "payout_range",
        "force_action",
        "mode",
        "mirror_url",
        "user_preset_id",
    }
)
_security = structlog.get_logger("security")

# Built once: a visit and a deposit run them all.
_adding = insert(players)
_KNOWN_TO = _adding.on_conflict_do_update(
    index_elements=["site_id", "site_login"],
    set_={
        "personal": players.c.personal.op("||")(_adding.excluded.personal),
        "seen_at": _adding.excluded.seen_at,
    },
)
# A row that was only just inserted has been locked or changed by nobody.
_KNOWN = Built(_KNOWN_TO.returning(players.c.player_id, literal_column("xmax = 0", Boolean).label("is_new")))
_SESSION: Final = (
    *("site_id", "session_id", "key_hash", "player_id", "currency", "language", "customer_ip", "wishes"),
    *("obtained_at", "used_at"),
)
_VISITOR = (
    _KNOWN_TO.values(
        site_id=bindparam("site_id"),
        player_id=bindparam("new_player"),
        site_login=bindparam("site_login"),
        # The protocol has no time: an old request must not bring old data back.
        personal=case(
            (exists(select(merchants.FIRST_SEEN)), bindparam("personal", type_=JSONB)),
            else_=literal({}, JSONB),
        ),
        created_at=bindparam("obtained_at"),
        seen_at=bindparam("obtained_at"),
    )
    .returning(players.c.player_id)
    .cte("visitor")
)
# The player, who is created on the first visit, and the session behind the key, by one statement.
_OPEN = Built(
    insert(sessions).from_select(
        _SESSION,
        select(
            *(
                _VISITOR.c.player_id if name == "player_id" else bindparam(name, type_=sessions.c[name].type)
                for name in _SESSION
            )
        ),
    )
)
_METHOD = Built(
    update(players).where(
        players.c.site_id == bindparam("of_site"), players.c.player_id == bindparam("of_player")
    )
)
_OF_KEY = (sessions.c.site_id == bindparam("of_site")) & (sessions.c.key_hash == bindparam("of_key"))
_KEY_IS_KNOWN = Built(select(exists().where(_OF_KEY)))
# One that is not stale is kept alive, and its player and site are told.
_USED = (
    update(sessions)
    .where(_OF_KEY, sessions.c.used_at >= bindparam("idle_since"))
    .where(sessions.c.obtained_at >= bindparam("alive_since"))
    .where(players.c.site_id == sessions.c.site_id, players.c.player_id == sessions.c.player_id)
    .values(used_at=func.greatest(sessions.c.used_at, bindparam("now", type_=sessions.c.used_at.type)))
    .returning(
        *(sessions.c.site_id, sessions.c.session_id, sessions.c.player_id, sessions.c.currency),
        *(sessions.c.language, sessions.c.customer_ip, sessions.c.wishes),
        *(players.c.site_login, players.c.personal, players.c.last_method),
    )
    .cte("used")
)
# Should it be lost, a key is stale a moment sooner.
_USE = Built(merchants.site_beside(_USED), is_flushed=False)


class CurrencyNotOffered(Refusal):
    """This site does not offer {currency}; it offers {offered}."""

    param = "currency"


async def obtain_key(
    tx: Transaction, site: merchants.Site, fields: Mapping[str, str], *, at: datetime
) -> str:
    """A new key for a player, who is created on the first visit. A player's earlier keys live on.

    Args:
        fields: the verified parameters of a key request (protocol.md section 2.1).
        at: the instant of the request.

    Returns:
        The key: opaque, stored only as a hash, bound to site, player and currency.

    Raises:
        CurrencyNotOffered: the site has no such currency.
    """
    currency = fields["currency"].upper()
    if currency not in site.currencies:
        raise CurrencyNotOffered(currency=currency, offered=", ".join(site.currencies))
    language = fields.get("language", "")
    personal = {name: value for name, value in fields.items() if name in PERSONAL_FIELDS}
    # The site number leads, so that a key finds its shard; the rest is random.
    key = f"{site.site_id}-{ids.secret(_KEY_BYTES)}"
    session = {
        "site_id": site.site_id,
        "session_id": ids.new("ses", at=at),
        "key_hash": _hash(key),
        "new_player": ids.new("ply", at=at),
        "site_login": fields["site_login"],
        "personal": personal,
        "currency": currency,
        "language": language if language in site.languages else site.languages[0],
        "customer_ip": fields["customer_ip"],
        "wishes": {name: value for name, value in fields.items() if name in _WISHES},
        "obtained_at": at,
        "used_at": at,
    }
    await tx.write((_OPEN, session | merchants.seen_signature(site.site_id, fields["signature"], at=at)))
    return key


async def use_key(tx: Transaction, key: str, *, now: datetime) -> tuple[Session, merchants.Site]:
    """The session behind a key, kept alive by this use, and the site that opened it.

    Args:
        tx: its statements commit one by one (`Database.singly`), for the use of a key is not flushed.
        key: what the visitor has shown.
        now: this instant.

    Raises:
        merchants.NotAuthentic: no such key, or it is stale.
    """
    site_id = merchants.site_number(key.partition("-")[0])
    its = {"of_site": site_id, "of_key": _hash(key)}
    alive = {"now": now, "idle_since": now - KEY_IDLE, "alive_since": now - KEY_LIFETIME}
    rows = await tx.all(_USE, its | alive)
    if not rows:
        reason = "stale" if await tx.scalar(_KEY_IS_KNOWN, its) else "unknown"
        _security.warning("key.refused", site_id=site_id, reason=reason)
        raise merchants.NotAuthentic
    row, site = rows[0], merchants.site_of_rows(rows)
    player = Player(site_id, PlayerId(row.player_id), row.site_login, row.personal, row.last_method)
    session = Session(row.session_id, player, row.currency, row.language, row.customer_ip, row.wishes)
    return session, site


async def forget_sessions(tx: Transaction, *, now: datetime, most: int) -> int:
    """Drop sessions whose key can no longer be used, at most so many; returns how many."""
    its_key = tuple_(sessions.c.site_id, sessions.c.session_id)
    old = select(*its_key.clauses).where(sessions.c.obtained_at < now - KEY_LIFETIME).limit(most)
    done = await tx.execute(delete(sessions).where(its_key.in_(old)))
    return done.rowcount


def method_remembered(player: Player, method: str) -> Write:
    """What preselects this method on the player's next visit; the player's row is locked by it."""
    return _METHOD, {"of_site": player.site_id, "of_player": player.player_id, "last_method": method}


async def forget_habits(tx: Transaction, site_id: int, site_login: str) -> bool:
    """Forget what the player used last (protocol.md section 5b); whether there was such a player."""
    done = await tx.execute(
        update(players)
        .where(players.c.site_id == site_id, players.c.site_login == site_login)
        .values(last_method="")
    )
    return done.rowcount > 0


async def known_player(
    tx: Transaction, site_id: int, site_login: str, personal: Mapping[str, str], *, at: datetime
) -> tuple[PlayerId, bool]:
    """Create a player or link to the one that is known, from the cashier or the wallet.

    What is told now replaces what was told before, field by field. The player's row stays locked until the
    caller's transaction ends.

    Returns:
        our id of the player, and whether the player is new.
    """
    told = {
        "site_id": site_id,
        "player_id": ids.new("ply", at=at),
        "site_login": site_login,
        "personal": dict(personal),
        "created_at": at,
        "seen_at": at,
    }
    row = await tx.one(_KNOWN, told)
    return PlayerId(row.player_id), row.is_new


async def set_status(tx: Transaction, site_id: int, site_login: str, status: PlayerStatus) -> PlayerStatus:
    """Block, unblock or close a player; operations that are under way at this moment are still carried out.

    Returns:
        how it stood before.

    Raises:
        PlayerNotFound: no such player at this site.
    """
    its = (players.c.site_id == site_id) & (players.c.site_login == site_login)
    before = await tx.scalar(select(players.c.status).where(its).with_for_update(key_share=True))
    if before is None:
        raise PlayerNotFound
    await tx.execute(update(players).where(its).values(status=status))
    return PlayerStatus(before)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
