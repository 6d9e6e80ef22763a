"""A launch opens a session that lives twelve hours, by a URL that works once within a minute."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from app import players
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.catalogue import Game
from app.wallet.operations import add_game
from tests.wallet.counter import Counter, Json, opened

ASKED = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", "providerId": "acme"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made


async def launched(counter: Counter, scope: str = "wallet", **more: object) -> Json:
    status, told = await counter.post("/v1/game/launch", ASKED | more, scope=scope)
    assert status == 200, told
    return dict(told["data"])


async def refused(counter: Counter, **more: object) -> tuple[int, str]:
    status, told = await counter.post("/v1/game/launch", ASKED | more)
    return status, told["code"]


async def listed(counter: Counter, *, url: str = "", enabled: bool = True, provider: str = "acme") -> None:
    async with counter.pipes.database.transaction() as tx:
        game = Game(provider, "aviator", "Aviator <1>", url, enabled)
        await add_game(tx, counter.site_id, game, at=counter.clock.now())


@pytest.mark.parametrize("scope", ["wallet", "play"])
async def test_a_launch_answers_a_url_a_session_and_when_both_end(counter: Counter, scope: str) -> None:
    made = await launched(counter, scope)
    assert made["gameUrl"].startswith("https://cashier.example.com/play/")
    assert made["sessionId"].startswith("gse_")
    assert made["expiresAt"] == "2026-11-22T00:00:00.000Z"
    assert made["gameUrlExpiresAt"] == "2026-11-21T12:01:00.000Z"


async def test_a_reader_launches_nothing(counter: Counter) -> None:
    status, told = await counter.post("/v1/game/launch", ASKED, scope="read")
    assert (status, told["code"]) == (403, "FORBIDDEN")


async def test_a_launch_url_works_once(counter: Counter) -> None:
    made = await launched(counter, returnUrl="https://shop.example.com/lobby?a=1&b=2")
    first, second = [await counter.http.get(made["gameUrl"]) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 410)
    assert made["sessionId"] in first.text
    assert "https://shop.example.com/lobby?a=1&amp;b=2" in first.text
    assert "default-src 'none'" in first.headers["content-security-policy"]


async def test_at_once_a_launch_url_works_once(counter: Counter) -> None:
    made = await launched(counter)
    answers = await asyncio.gather(*(counter.http.get(made["gameUrl"]) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200, *[410] * 9]


async def test_a_launch_url_lives_a_minute(counter: Counter) -> None:
    made = await launched(counter)
    counter.clock.advance(60)
    assert (await counter.http.get(made["gameUrl"])).status_code == 410


async def test_a_guessed_url_opens_nothing(counter: Counter) -> None:
    made = await launched(counter)
    for guess in (made["gameUrl"][:-1], f"{made['gameUrl']}x", "/play/999-abc", "/play/-", "/play/%00"):
        assert (await counter.http.get(guess)).status_code in {404, 410}
    assert (await counter.http.get(made["gameUrl"])).status_code == 200


async def test_the_secret_is_not_kept(counter: Counter) -> None:
    secret = (await launched(counter))["gameUrl"].rpartition("/")[2]
    rows = await counter.rows(
        "SELECT 1 FROM game_session WHERE game_session::text LIKE '%' || :it || '%'", it=secret
    )
    assert not rows


async def test_a_game_of_the_platform_is_reached_with_the_session(counter: Counter) -> None:
    await listed(counter, url="https://games.example.com/run?skin=dark")
    made = await launched(counter, language="kk", returnUrl="https://shop.example.com/")
    answer = await counter.http.get(made["gameUrl"], follow_redirects=False)
    place = urlsplit(answer.headers["location"])
    assert (answer.status_code, place.netloc) == (303, "games.example.com")
    asked = {name: values[0] for name, values in parse_qs(place.query).items()}
    assert asked == {
        "skin": "dark",
        "sessionId": made["sessionId"],
        "gameCode": "aviator",
        "currency": "KZT",
        "language": "kk",
        "returnUrl": "https://shop.example.com/",
    }


async def test_the_name_of_a_game_is_text(counter: Counter) -> None:
    await listed(counter)
    page = await counter.http.get((await launched(counter))["gameUrl"])
    assert "Aviator &lt;1&gt;" in page.text


async def test_the_catalogue_says_whose_game_it_is(counter: Counter) -> None:
    assert await refused(counter, providerId=None) == (400, "VALIDATION")
    await listed(counter)
    assert (await launched(counter, providerId=None))["providerId"] == "acme"
    await listed(counter, provider="other")
    assert await refused(counter, providerId=None) == (400, "VALIDATION")


async def test_a_game_that_is_off_does_not_start(counter: Counter) -> None:
    await listed(counter, enabled=False)
    assert await refused(counter) == (400, "VALIDATION")


async def test_a_site_may_want_its_catalogue_only(counter: Counter) -> None:
    await counter.decide(listed_games_only="true")
    assert await refused(counter) == (400, "VALIDATION")
    await listed(counter)
    await launched(counter)


async def test_without_money_nothing_starts_unless_a_round_is_open(counter: Counter) -> None:
    await counter.player("bolat")
    status, told = await counter.post("/v1/game/launch", ASKED | {"playerExternalId": "bolat"})
    assert (status, told["code"], told["data"]["balance"]) == (402, "ZERO_BALANCE", 0)
    await counter.play("bet", amount=1000)
    await launched(counter)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"playerExternalId": "nobody"}, (404, "PLAYER_NOT_FOUND")),
        ({"currency": "USD"}, (422, "CURRENCY_MISMATCH")),
        ({"currency": "XXZ"}, (400, "VALIDATION")),
        ({"gameCode": ""}, (400, "VALIDATION")),
        ({"language": "no language"}, (400, "VALIDATION")),
        ({"returnUrl": "javascript:alert(1)"}, (400, "VALIDATION")),
        ({"returnUrl": 5}, (400, "VALIDATION")),
        ({"returnUrl": "https://shop.example.com/" + "x" * 2048}, (400, "VALIDATION")),
    ],
)
async def test_what_cannot_start(counter: Counter, more: Json, expected: tuple[int, str]) -> None:
    assert await refused(counter, **more) == expected
    assert not await counter.rows("SELECT 1 FROM game_session")


async def test_a_blocked_player_starts_nothing(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        await players.set_status(tx, counter.site_id, "aigerim", players.PlayerStatus.CLOSED)
    assert await refused(counter) == (422, "PLAYER_BLOCKED")


async def test_a_seamless_site_launches_nothing(database: Database, clock: MovableClock) -> None:
    async with opened(database, clock, seamless=True) as counter:
        assert await refused(counter) == (422, "WRONG_WALLET_MODE")


async def test_a_demo_touches_no_wallet(counter: Counter) -> None:
    made = await launched(counter, demo=True, playerExternalId="nobody")
    assert (made["sessionId"], await counter.rows("SELECT 1 FROM game_session")) == (None, [])
    assert (await counter.http.get(made["gameUrl"])).status_code == 200


async def test_bets_go_on_in_a_session_until_it_ends(counter: Counter) -> None:
    session = (await launched(counter))["sessionId"]
    assert (await counter.play("bet", amount=100, sessionId=session))["code"] == "OK"
    _, ended = await counter.post("/v1/session/end", {"sessionId": session}, scope="play")
    assert ended["data"] == {
        "sessionId": session,
        "playerExternalId": "aigerim",
        "currency": "KZT",
        "finalBalance": 900,
        "endedAt": "2026-11-21T12:00:00.000Z",
        "duplicate": False,
    }
    assert (await counter.play("bet", amount=100, sessionId=session))["code"] == "SESSION_EXPIRED"


async def test_ending_again_tells_the_first_end(counter: Counter) -> None:
    session = (await launched(counter))["sessionId"]
    _, first = await counter.post("/v1/session/end", {"sessionId": session})
    await counter.deposit(5000)
    counter.clock.advance(60)
    _, again = await counter.post("/v1/session/end", {"sessionId": session})
    assert again["data"] == first["data"] | {"duplicate": True}


async def test_a_session_that_is_none_cannot_end(counter: Counter) -> None:
    status, told = await counter.post("/v1/session/end", {"sessionId": "gse_none"})
    assert (status, told["code"]) == (422, "SESSION_EXPIRED")


async def test_a_session_ends_by_itself_after_twelve_hours(counter: Counter) -> None:
    session = (await launched(counter))["sessionId"]
    counter.clock.advance(timedelta(hours=12))
    assert (await counter.play("bet", amount=100, sessionId=session))["code"] == "SESSION_EXPIRED"


async def test_a_player_may_hold_several_sessions(counter: Counter) -> None:
    first, second = [(await launched(counter))["sessionId"] for _ in range(2)]
    for session in (first, second):
        assert (await counter.play("bet", amount=100, sessionId=session))["code"] == "OK"


async def test_a_site_may_want_one_session_at_a_time(counter: Counter) -> None:
    await counter.decide(many_sessions="false")
    first = (await launched(counter))["sessionId"]
    await counter.deposit(500)
    second = (await launched(counter))["sessionId"]
    assert (await counter.play("bet", amount=100, sessionId=first))["code"] == "SESSION_EXPIRED"
    assert (await counter.play("bet", amount=100, sessionId=second))["code"] == "OK"
    _, ended = await counter.post("/v1/session/end", {"sessionId": first})
    assert (ended["data"]["finalBalance"], ended["data"]["duplicate"]) == (1500, True)
