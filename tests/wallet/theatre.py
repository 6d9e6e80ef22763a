"""Where plays are played: the product's own application, and a fresh site for each play."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from app import merchants, players
from app.plumbing.database import asyncpg_dsn
from app.wallet.campaigns import FreeRoundsWish, grant_free_rounds
from app.wallet.contract import instant
from app.wallet.examples import BODIES, CALLS, PATHS, QUERIES, Call
from tests.wallet.counter import Counter, Json
from tests.wallet.plays import MADE_SESSION, MADE_TRANSACTION, Play, Step

BY_NAME: Final = {call.name: call for call in CALLS}
SCOPES: Final = ("wallet", "play", "read")
_NOON: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_ID: Final = re.compile(r"\b(wop|ply|gse)_[0-9a-z]{26}\b")
_REQUEST: Final = re.compile(r"\breq_[0-9A-Za-z_-]{16,}")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_URL_SECRET: Final = re.compile(r"/play/\d+-[\w-]+")
_UNDER_WAY: Final = """
INSERT INTO wallet_operation (site_id, operation_id, source, within, key, type, code, applied, fingerprint,
  currency, amount_minor, win_minor, cash_minor, bonus_minor, balance_before_minor, balance_after_minor,
  sequence, provider_id, request_id, recorded_at)
VALUES ($1, 'wop_x', 'operator', '', $2, 'deposit', 'OK', false, '',
  'KZT', 0, 0, 0, 0, 0, 0, 0, '', '', now())
"""
_CURSORS: Final = frozenset({"nextCursor", "resumeCursor"})


@dataclass
class Theatre:
    """A counter at whose application any number of sites can be opened."""

    counter: Counter
    url: str
    made: dict[str, str] = field(default_factory=dict)

    async def site(self, *, callback_url: str = "") -> Counter:
        """A counter of a site of its own."""
        async with self.counter.pipes.database.transaction() as tx:
            new = merchants.NewSite(
                name="Altyn Games",
                currencies=("KZT", "USD"),
                callout_url="https://shop.example.com/callout",
                notify_url="https://shop.example.com/notify",
                callback_url=callback_url,
            )
            created = await merchants.create_site(tx, new, at=self.counter.clock.now())
        return replace(self.counter, site_id=created.site_id, tokens=created.tokens)

    async def play(self, steps: Play) -> tuple[int, Json]:
        """Everything in its order; what the last call answered."""
        counter, began = await self.site(), self.counter.clock.now()
        self.made = {}
        answer: tuple[int, Json] = (0, {})
        async with AsyncExitStack() as stack:
            for step in steps:
                match step.name:
                    case "lock":
                        await stack.enter_async_context(self._locked(counter.site_id))
                    case "underway":
                        await stack.enter_async_context(
                            self._underway(counter.site_id, step.more["transfer"])
                        )
                    case "block":
                        async with counter.pipes.database.transaction() as tx:
                            await players.set_status(
                                tx, counter.site_id, "player-1", players.PlayerStatus.BLOCKED
                            )
                    case "grant":
                        await self._granted(counter)
                    case "decide":
                        await counter.decide(**step.more)
                    case _:
                        answer = await self._called(counter, step)
        status, envelope = answer
        return status, _told_alike(envelope, _NOON - began)

    async def _granted(self, counter: Counter) -> None:
        """One free round, in the campaign of the examples."""
        at = counter.clock.now()
        ends_at = at + timedelta(days=1)
        wish = FreeRoundsWish("campaign-1", "player-1", "KZT", "acme", "", 1, ends_at)
        async with counter.pipes.database.transaction() as tx:
            await grant_free_rounds(tx, counter.site_id, wish, at=at)

    async def _called(self, counter: Counter, step: Step) -> tuple[int, Json]:
        call = BY_NAME[step.name]
        if call.method == "get":
            await counter.settled()
        more = {
            name: self.made.get(value, value) if type(value) is str else value
            for name, value in step.more.items()
        }
        status, envelope = await ask(counter, call, more)
        data = envelope["data"]
        self.made[MADE_TRANSACTION] = data.get("transactionId", "")
        self.made[MADE_SESSION] = data.get("sessionId", "")
        return status, envelope

    @asynccontextmanager
    async def _locked(self, site_id: int) -> AsyncIterator[None]:
        """Another operation has its hands on every account of the site."""
        connection = await asyncpg.connect(asyncpg_dsn(self.url))
        try:
            async with connection.transaction():
                await connection.execute("SELECT 1 FROM account WHERE site_id = $1 FOR UPDATE", site_id)
                yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def _underway(self, site_id: int, transfer: str) -> AsyncIterator[None]:
        """A transfer with this id is just being written, for longer than anybody waits."""
        connection = await asyncpg.connect(asyncpg_dsn(self.url))
        try:
            async with connection.transaction():
                await connection.execute(_UNDER_WAY, site_id, transfer)
                yield
        finally:
            await connection.close()


async def ask(counter: Counter, call: Call, more: Mapping[str, Any], *, token: str = "") -> tuple[int, Json]:
    """Make a call with the example of its request, changed.

    Args:
        counter: whose tokens.
        call: which.
        more: fields that differ; None leaves one out; a list is a body that is no object.
        token: another than the first that may.
    """
    names = {**PATHS.get(call.name, {}), **{name: more[name] for name in more if f"{{{name}}}" in call.path}}
    path = call.path.format_map(names)
    rest = {name: value for name, value in more.items() if f"{{{name}}}" not in call.path}
    asked: Any = _changed({**BODIES.get(call.name, {}), **QUERIES.get(call.name, {})}, rest)
    headers = {"authorization": f"Bearer {token or counter.tokens[call.scopes[0]]}"}
    if call.method == "get":
        answer = await counter.http.get(path, params=asked, headers=headers)
    else:
        answer = await counter.http.post(path, json=asked, headers=headers)
    assert answer.headers["request-id"].startswith("req_")
    return answer.status_code, answer.json()


def _changed(example: Mapping[str, Any], more: Mapping[str, Any]) -> Json:
    body = {name: value for name, value in {**example, **more}.items() if value is not None}
    if "operations" in more:
        body["operations"] = [
            _changed(BODIES[item["example"]], {**item, "example": None}) for item in more["operations"]
        ]
    return body


def _told_alike(found: object, shift: timedelta, seen: dict[str, str] | None = None) -> Any:  # noqa: ANN401
    """An answer as it is told each time: ids drawn by chance are numbered, instants start at noon."""
    seen = {} if seen is None else seen
    match found:
        case dict():
            return {
                name: "eyJuZXh0Ijoi" if name in _CURSORS and value else _told_alike(value, shift, seen)
                for name, value in found.items()
            }
        case list():
            return [_told_alike(value, shift, seen) for value in found]
        case str():
            for match_ in _ID.finditer(found):
                seen.setdefault(match_[0], f"{match_[1]}_06ex7h3n5c8g2q1r9t4v0w6y{len(seen) + 1:02d}")
            named = _ID.sub(lambda one: seen[one[0]], found)
            named = _REQUEST.sub("req_3Vw8TqZ1mKc5RbXy7Nd2Aa", named)
            named = _URL_SECRET.sub("/play/101-pQ7vXc2mZt9LwK4sYb8NdR3hTfUj6GaE", named)
            return _INSTANT.sub(lambda one: instant(datetime.fromisoformat(one[0]) + shift), named)
        case _:
            return found


__all__ = ["BY_NAME", "SCOPES", "Theatre", "ask"]
