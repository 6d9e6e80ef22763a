"""Sites, salts and tokens on a real database: who is believed, and that no secret is kept in the open."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import literal, select, text

from app import merchants
from app.kernel import signing
from app.kernel.clock import MovableClock
from app.kernel.money import UnknownCurrency
from app.kernel.signing import Dialect
from app.merchants import CreatedSite, NewSite, NotAuthentic, Scope, WalletMode
from app.plumbing.addresses import BadPeerAddress
from app.plumbing.database import Database

NEW = NewSite(
    name="Altyn Games",
    currencies=("KZT", "USD"),
    callout_url="https://shop.example.com/callout",
    notify_url="https://shop.example.com/notify",
    frame_origins=("https://shop.example.com",),
)


async def created(database: Database, clock: MovableClock, new: NewSite = NEW) -> CreatedSite:
    async with database.transaction() as tx:
        return await merchants.create_site(tx, new, at=clock.now())


def request_of(site_id: int, salt: str, dialect: Dialect = Dialect.G, **more: str) -> dict[str, str]:
    """A user reset, signed by the protocol's rule."""
    fields = {"site_id": str(site_id), "site_login": "aigerim", **more}
    return {**fields, "signature": signing.sign(fields, salt, dialect)}


async def believed(database: Database, clock: MovableClock, params: Mapping[str, str]) -> bool:
    async with database.reading() as reader:
        try:
            await merchants.authentic_site(reader, params, clock.now())
        except NotAuthentic:
            return False
    return True


async def rotated(database: Database, clock: MovableClock, site_id: int) -> str:
    async with database.transaction() as tx:
        return await merchants.rotate_salt(tx, site_id, at=clock.now())


async def test_a_site_as_it_was_opened(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    async with database.reading() as reader:
        site = await merchants.site(reader, made.site_id)
    assert (site.name, site.currencies, site.languages) == ("Altyn Games", ("KZT", "USD"), ("en", "ru", "kk"))
    assert (site.signing_salt, site.webhook_secret) == (made.salt, made.webhook_secret)
    assert site.wallet_mode is WalletMode.TRANSFER
    assert site.notification_url(success=True) == site.notification_url(success=False) == NEW.notify_url
    shown = str(merchants.shown(site)) + repr(site) + repr(made)
    assert not any(secret in shown for secret in (made.salt, made.webhook_secret, *made.tokens.values()))
    with pytest.raises(merchants.SiteNotFound):
        async with database.reading() as reader:
            await merchants.site(reader, made.site_id + 1)


async def test_failures_and_seamless_mode(database: Database, clock: MovableClock) -> None:
    new = replace(
        NEW,
        notify_failure_url="https://shop.example.com/failed",
        callback_url="https://shop.example.com/wallet",
    )
    made = await created(database, clock, new)
    async with database.reading() as reader:
        site = await merchants.site(reader, made.site_id)
    assert site.wallet_mode is WalletMode.SEAMLESS
    assert site.notification_url(success=False) == "https://shop.example.com/failed"
    assert site.notification_url(success=True) == NEW.notify_url


BAD_URLS = (
    *("http://shop.example.com/", "https://127.0.0.1/", "https://2130706433/", "https://localhost/"),
    *("https://shop.example.com:22/", "https://user@shop.example.com/", "ftp://shop.example.com/", "shop"),
    *("https://[::1]/", "https://shop.example.com/ x", "https://магазин.kz/", "javascript:alert(1)"),
)
BAD_ORIGINS = (
    *("", "shop.example.com", "//shop.example.com", "https://", "https:///", "https://shop.example.com/"),
    *("https://shop.example.com/path", "https://shop.example.com?x", "https://shop.example.com#x", "null"),
    *("ftp://shop.example.com", "data:text/html,x", "javascript:alert(1)", "*", "https://*.example.com"),
    *("https://user@shop.example.com", "https://a:b@shop.example.com", "https://shop.example.com:"),
    *("https://shop.example.com:0", "https://shop.example.com:99999", "https://shop.example.com:http"),
    *(
        "https://SHOP.example.com",
        "HTTPS://shop.example.com",
        "https://магазин.kz",
        "https://shop example.com",
    ),
    *("https://shop.example.com; script-src *", "https://shop.example.com https://evil.example.com"),
    *(
        "https://shop.example.com\n",
        "\thttps://shop.example.com",
        "https://shop.exa\nmple.com",
        "https://a'b.com",
    ),
    *("https://[::1", "https://shop.example.com,https://evil.example.com", 'https://"shop".example.com'),
)


async def test_what_opens_no_site_and_writes_nothing(database: Database, clock: MovableClock) -> None:
    wrong: list[tuple[NewSite, type[Exception]]] = [
        (new, BadPeerAddress)
        for url in BAD_URLS
        for new in (
            replace(NEW, callout_url=url),
            replace(NEW, notify_url=url),
            replace(NEW, notify_failure_url=url),
            replace(NEW, callback_url=url),
        )
    ]
    wrong += [
        (replace(NEW, frame_origins=("https://good.example.com", origin)), merchants.BadOrigin)
        for origin in BAD_ORIGINS
    ]
    wrong += [
        (replace(NEW, currencies=("KZT", currency)), UnknownCurrency)
        for currency in ("ZZZ", "kzt", "KZ", "", "XAU", "KZT;USD")
    ]
    for new, refusal in wrong:
        async with database.transaction() as tx:
            with pytest.raises(refusal):
                await merchants.create_site(tx, new, at=clock.now())
    async with database.reading() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM merchant")) == 0


async def test_origins_as_browsers_write_them(database: Database, clock: MovableClock) -> None:
    origins = (
        *(
            "https://shop.example.com",
            "https://shop.example.com:8443",
            "http://127.0.0.1:8081",
            "http://localhost:1",
        ),
        *("http://[::1]:8081", "https://xn--80aaa.kz", "https://a", "https://shop.example.com:65535"),
    )
    made = await created(database, clock, replace(NEW, frame_origins=origins))
    async with database.reading() as reader:
        assert (await merchants.site(reader, made.site_id)).frame_origins == origins


@pytest.mark.parametrize("currency", ["ZZZ", "kzt", "KZ", "", "XAU", "KZT;USD"])
async def test_an_unknown_currency_opens_no_site(
    database: Database, clock: MovableClock, currency: str
) -> None:
    with pytest.raises(UnknownCurrency):
        await created(database, clock, replace(NEW, currencies=("KZT", currency)))


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_signed_request_is_the_sites_own(
    database: Database, clock: MovableClock, dialect: Dialect
) -> None:
    made = await created(database, clock, replace(NEW, dialect=dialect))
    assert await believed(database, clock, request_of(made.site_id, made.salt, dialect))


async def test_unknown_site_wrong_signature_and_reflection_are_one_refusal(
    database: Database, clock: MovableClock
) -> None:
    made, other = await created(database, clock), await created(database, clock)
    good = request_of(made.site_id, made.salt)
    ours = request_of(made.site_id, made.salt, site_login="reflected")
    async with database.transaction() as tx:
        await tx.write(merchants.issued_signature(made.site_id, ours["signature"], at=clock.now()))
        # Remembering twice is harmless.
        await tx.write(merchants.issued_signature(made.site_id, ours["signature"], at=clock.now()))
    refused = {
        "unknown site": request_of(999_999_999, made.salt),
        "site zero": request_of(0, made.salt),
        "another site": {**good, "site_id": str(other.site_id)},
        "another site's salt": request_of(made.site_id, other.salt),
        "wrong salt": request_of(made.site_id, "wrong"),
        "changed field": {**good, "site_login": "bolat"},
        "added field": {**good, "currency": "KZT"},
        "upper case": {**good, "signature": good["signature"].upper()},
        "cut": {**good, "signature": good["signature"][:-1]},
        "empty": {**good, "signature": ""},
        "reflected": ours,
    }
    sentences = set()
    for params in refused.values():
        async with database.reading() as reader:
            with pytest.raises(NotAuthentic) as error:
                await merchants.authentic_site(reader, params, clock.now())
        sentences.add((error.value.sentence, str(error.value.fields), error.value.param))
    assert len(sentences) == 1
    assert await believed(database, clock, good)
    # What we issued for one site is no reflection at another.
    assert await believed(database, clock, request_of(other.site_id, other.salt, site_login="reflected"))


async def test_an_unknown_site_takes_the_same_way(
    database: Database, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trust.md 3.3.8: for a site that does not exist, as many salts are tried and as many signatures made."""
    made = await created(database, clock)
    compared: list[int] = []
    really = signing.matches

    def counting(
        params: Mapping[str, str], signature: str, salts: tuple[str, ...], dialect: Dialect
    ) -> int | None:
        compared.append(len(salts))
        return really(params, signature, salts, dialect)

    monkeypatch.setattr(signing, "matches", counting)
    for site_id in (made.site_id, 999_999_999):
        assert not await believed(database, clock, request_of(site_id, "wrong"))
    assert compared == [1, 1]


async def test_rotation_overlaps_and_ends(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    first = request_of(made.site_id, made.salt)
    new_salt = await rotated(database, clock, made.site_id)
    second = request_of(made.site_id, new_salt)
    assert await believed(database, clock, first)
    assert await believed(database, clock, second)
    clock.advance(timedelta(hours=48) - timedelta(seconds=1))
    assert await believed(database, clock, first)
    clock.advance(1)
    assert not await believed(database, clock, first)
    assert await believed(database, clock, second)
    async with database.reading() as reader:
        assert (await merchants.site(reader, made.site_id)).signing_salt == new_salt


async def test_a_second_rotation_ends_the_first_salt_at_once(database: Database, clock: MovableClock) -> None:
    """Rotating twice is what one does when a salt has leaked."""
    made = await created(database, clock)
    salts = [made.salt, *[await rotated(database, clock, made.site_id) for _ in range(3)]]
    assert len(set(salts)) == 4
    heard = [await believed(database, clock, request_of(made.site_id, salt)) for salt in salts]
    assert heard == [False, False, True, True]


async def test_rotation_touches_one_site_and_needs_one(database: Database, clock: MovableClock) -> None:
    made, other = await created(database, clock), await created(database, clock)
    await rotated(database, clock, made.site_id)
    clock.advance(timedelta(days=3))
    assert await believed(database, clock, request_of(other.site_id, other.salt))
    with pytest.raises(merchants.SiteNotFound):
        await rotated(database, clock, 999_999_999)


async def test_old_issued_signatures_are_forgotten(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    async with database.transaction() as tx:
        await tx.write(merchants.issued_signature(made.site_id, "a" * 40, at=clock.now()))
    clock.advance(timedelta(days=30))
    for passed, forgotten in ((0, 0), (1, 1), (0, 0)):
        clock.advance(passed)
        async with database.transaction() as tx:
            assert await merchants.forget_signatures(tx, now=clock.now()) == forgotten


async def test_tokens_have_one_scope(database: Database, clock: MovableClock) -> None:
    made, other = await created(database, clock), await created(database, clock)
    assert made.tokens.keys() == {scope.value for scope in Scope}
    assert not set(made.tokens.values()) & set(other.tokens.values())
    for name, token in made.tokens.items():
        for scope in Scope:
            async with database.reading() as reader:
                if scope.value == name:
                    assert (await merchants.site_of_token(reader, token, scope)).site_id == made.site_id
                else:
                    with pytest.raises(NotAuthentic):
                        await merchants.site_of_token(reader, token, scope)


async def test_no_other_text_is_a_token(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    token = made.tokens["read"]
    strangers = [
        "",
        " ",
        token[:-1],
        token + " ",
        token.upper(),
        f"Bearer {token}",
        token.replace("read", "play"),
    ]
    for stranger in [*strangers, hashlib.sha256(token.encode()).hexdigest(), "\x00", "ä"]:
        async with database.reading() as reader:
            with pytest.raises(NotAuthentic):
                await merchants.site_of_token(reader, stranger, Scope.READ)


async def test_a_revoked_token_is_none(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    async with database.transaction() as tx:
        _, fresh = await merchants.create_token(tx, made.site_id, Scope.READ, at=clock.now(), label="second")
        await tx.execute(
            text("UPDATE api_token SET revoked_at = :now WHERE label = ''"), {"now": clock.now()}
        )
    async with database.reading() as reader:
        with pytest.raises(NotAuthentic):
            await merchants.site_of_token(reader, made.tokens["read"], Scope.READ)
        assert (await merchants.site_of_token(reader, fresh, Scope.READ)).site_id == made.site_id


async def test_no_column_holds_a_token(database: Database, clock: MovableClock) -> None:
    made = await created(database, clock)
    async with database.reading() as reader:
        rows = await reader.all(text("SELECT to_jsonb(t)::text AS kept, hash FROM api_token t"))
    kept = "".join(row.kept for row in rows)
    for token in made.tokens.values():
        assert token not in kept
        assert token.rpartition("_")[2] not in kept
        assert token.encode().hex() not in kept
        assert hashlib.sha256(token.encode()).digest() in {bytes(row.hash) for row in rows}
    assert made.salt not in kept


async def test_a_test_sites_callback_address_follows_the_rule_of_every_other_address(
    database: Database, now: datetime
) -> None:
    """The client is opened without `test_profile` (wiring): it would refuse every call to this address."""
    url = "http://shop.example.com:8080/callback"
    new = merchants.NewSite(
        "Altyn", ("KZT",), "https://a.example.com/", "https://a.example.com/", is_test=True
    )
    async with database.transaction() as tx:
        site_id = (await merchants.create_site(tx, new, at=now)).site_id
        with pytest.raises(BadPeerAddress):
            await merchants.set_callback_url(tx, site_id, url, at=now)


@pytest.mark.parametrize("name", ["name", "retired_at"])
def test_what_is_found_beside_a_site_is_not_called_as_one_of_its_columns(name: str) -> None:
    found = select(literal(101).label("site_id"), literal("another's").label(name)).cte("found")
    with pytest.raises(ValueError, match=name):
        merchants.site_beside(found)
