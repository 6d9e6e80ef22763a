"""A player's instruments on a real database: remembered once, and never with a card number."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import merchants, methods, players
from app.kernel.clock import MovableClock
from app.methods import Destination, Instrument
from app.plumbing.database import Database
from tests.methods.test_offers import new_site

CARD = "4111111111111111"
SEEN = Destination("card", {"token": "tok_1"}, "411111******1111", "fpr_1")
BANK = methods.read_destination(
    "bank_transfer", {"iban": "KZ86125KZT5004100100", "iin": "900101300007", "name": "Aigerim"}
)


@dataclass
class Purse:
    database: Database
    clock: MovableClock
    site_id: int
    player_id: str

    async def remember(self, destination: Destination = SEEN, account: str = "main") -> Instrument:
        async with self.database.transaction() as tx:
            return await methods.remember_instrument(
                tx, self.site_id, self.player_id, destination, account=account, at=self.clock.now()
            )

    async def shown(self, *, with_removed: bool = False) -> list[Instrument]:
        async with self.database.reading() as reader:
            return await methods.instruments(reader, self.site_id, self.player_id, with_removed=with_removed)

    async def remove(self, instrument_id: str) -> None:
        async with self.database.transaction() as tx:
            await methods.remove_instrument(
                tx, self.site_id, self.player_id, instrument_id, at=self.clock.now()
            )


@pytest.fixture
async def purse(database: Database, clock: MovableClock) -> Purse:
    site_id = await new_site(database, clock)
    return Purse(database, clock, site_id, await player(database, clock, site_id, "aigerim"))


async def player(database: Database, clock: MovableClock, site_id: int, login: str) -> str:
    fields = {"site_login": login, "currency": "KZT", "customer_ip": "127.0.0.1", "signature": login}
    async with database.transaction() as tx:
        site = await merchants.site(tx, site_id)
        key = await players.obtain_key(tx, site, fields, at=clock.now())
    async with database.singly() as tx:
        session, _ = await players.use_key(tx, key, now=clock.now())
        return session.player.player_id


async def test_one_that_is_known_is_used_again(purse: Purse) -> None:
    first = await purse.remember()
    assert first.instrument_id.startswith("ins_")
    assert (first.fields, first.masked, first.brief) == ({"token": "tok_1"}, "411111******1111", "*1111")
    assert first.first_seen_at == first.last_used_at == purse.clock.now()
    assert first.destination == SEEN
    assert "tok_1" not in repr(first)
    purse.clock.advance(60)
    again = await purse.remember()
    assert again == replace(first, last_used_at=purse.clock.now())
    assert await purse.shown() == [again]


async def test_many_at_once_are_one(purse: Purse) -> None:
    found = await asyncio.gather(*(purse.remember() for _ in range(8)))
    assert len({instrument.instrument_id for instrument in found}) == 1
    assert len(await purse.shown()) == 1


async def test_the_last_used_is_shown_first(purse: Purse) -> None:
    for destination in (SEEN, BANK, SEEN):
        await purse.remember(destination)
        purse.clock.advance(1)
    assert [found.method for found in await purse.shown()] == ["card", "bank_transfer"]


async def test_what_is_told_anew_is_added_and_a_foreign_token_goes(purse: Purse) -> None:
    known_by_sight = replace(BANK, fields={})
    assert (await purse.remember(known_by_sight)).fields == {}
    assert (await purse.remember(replace(BANK, fields={"token": "tok_a"}))).fields == {"token": "tok_a"}
    both = {**BANK.fields, "token": "tok_a"}
    assert (await purse.remember(BANK)).fields == both
    assert (await purse.remember(known_by_sight)).fields == both, "being seen again takes nothing away"
    kept = await purse.remember(known_by_sight, account="second")
    assert (kept.fields, kept.account) == (both, "main")
    moved = await purse.remember(BANK, account="second")
    assert (moved.fields, moved.account) == (BANK.fields, "second")
    token = await purse.remember(replace(BANK, fields={"token": "tok_b"}), account="third")
    assert (token.fields["token"], token.account) == ("tok_b", "third")


async def test_a_removed_one_is_not_shown_and_stays_known(purse: Purse) -> None:
    found = await purse.remember()
    purse.clock.advance(1)
    removed_at = purse.clock.now()
    for _ in range(2):
        await purse.remove(found.instrument_id)
        purse.clock.advance(1)
    assert await purse.shown() == []
    [kept] = await purse.shown(with_removed=True)
    assert kept.removed_at == removed_at
    async with purse.database.reading() as reader:
        assert await methods.instrument(reader, purse.site_id, purse.player_id, found.instrument_id) == kept
    assert (await purse.remember()).removed_at is None
    assert len(await purse.shown()) == 1


async def test_strangers_have_their_own(purse: Purse) -> None:
    found = await purse.remember()
    other_player = replace(purse, player_id=await player(purse.database, purse.clock, purse.site_id, "berik"))
    site_id = await new_site(purse.database, purse.clock)
    other_site = Purse(
        purse.database, purse.clock, site_id, await player(purse.database, purse.clock, site_id, "aigerim")
    )
    for stranger in (other_player, other_site):
        assert await stranger.shown(with_removed=True) == []
        with pytest.raises(methods.InstrumentNotFound):
            await stranger.remove(found.instrument_id)
        async with purse.database.reading() as reader:
            with pytest.raises(methods.InstrumentNotFound):
                await methods.instrument(reader, stranger.site_id, stranger.player_id, found.instrument_id)
        assert (await stranger.remember()).instrument_id != found.instrument_id
    assert [one.removed_at for one in await purse.shown()] == [None]


@pytest.mark.parametrize(
    "destination",
    [
        methods.read_destination("card", {"number": CARD}),
        replace(SEEN, fingerprint=""),
        replace(SEEN, masked=CARD),
        replace(SEEN, masked="card 4111 1111 1111 1111"),
    ],
    ids=["not tokenised", "no fingerprint", "number as mask", "number in mask"],
)
async def test_what_is_not_fit_to_be_stored_is_refused(purse: Purse, destination: Destination) -> None:
    with pytest.raises(ValueError, match="not fit to be stored") as refused:
        await purse.remember(destination)
    assert CARD not in str(refused.value)
    assert await purse.shown() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"fields": f'{{"token": "{CARD}"}}'},
        {"fields": '{"token": "4111 1111 1111 1111"}'},
        {"fields": f'{{"token": "tok_1", "number": "{CARD}"}}'},
        {"fields": '{"holder": "AIGERIM"}'},
        {"masked": CARD},
        {"fingerprint": CARD},
    ],
    ids=str,
)
async def test_the_database_keeps_no_card_number_whatever_the_code_does(
    purse: Purse, owner_database: Database, changed: dict[str, str]
) -> None:
    row = {"fields": '{"token": "tok_1"}', "masked": "411111******1111", "fingerprint": "fpr_2", **changed}
    query = """
        INSERT INTO instrument (site_id, instrument_id, player_id, method, account, masked, fingerprint,
            fields, first_seen_at, last_used_at)
        VALUES (:site_id, 'ins_1', :player_id, 'card', 'main', :masked, :fingerprint, CAST(:fields AS jsonb),
            :at, :at)
    """
    values = {"site_id": purse.site_id, "player_id": purse.player_id, "at": purse.clock.now(), **row}
    with pytest.raises(DBAPIError, match="no_card_number"):
        async with purse.database.transaction() as tx:
            await tx.execute(text(query), values)
    assert await purse.shown() == []


async def test_the_application_may_not_delete_nor_rename(purse: Purse) -> None:
    await purse.remember()
    for query in ("DELETE FROM instrument", "UPDATE instrument SET player_id = 'x'"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with purse.database.transaction() as tx:
                await tx.execute(text(query))
    assert timedelta(0) == purse.clock.now() - (await purse.shown())[0].last_used_at
