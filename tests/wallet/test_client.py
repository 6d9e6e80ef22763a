"""docs/examples/wallet_client.py against a real process that delays, drops, fails and answers nonsense."""

import asyncio
import importlib.util
import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app import merchants, wiring
from app.settings import Settings
from tests.conftest import ROOT
from tests.processes.parts import answers
from tests.processes.running import PATIENCE_SECONDS, Home, home, until

FILE: Final = ROOT / "docs" / "examples" / "wallet_client.py"
FAULTS: Final = ("delay", "duplicate", "drop-after-commit", "error-500", "garbage")
TIMEOUT_SECONDS: Final = 1.0
pytestmark = pytest.mark.timeout(120)


def _example() -> Any:  # noqa: ANN401  a module that is no part of the house
    spec = importlib.util.spec_from_file_location("wallet_client", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up here.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


example: Any = _example()


@dataclass
class Book:
    """An outbox in memory."""

    noted: dict[str, bytes] = field(default_factory=dict)
    settled: dict[str, Any] = field(default_factory=dict)

    def note(self, key: str, path: str, content: bytes) -> None:
        assert self.noted.setdefault(key, content) == content, path

    def settle(self, key: str, answer: object) -> None:
        self.settled[key] = answer


@dataclass
class Platform:
    """A web process, a test site, and what went over the wire to it."""

    home: Home
    tokens: dict[str, str]
    sent: list[httpx.Request] = field(default_factory=list)
    # What happens to the next requests, one after the other.
    faults: list[str] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    paused: list[float] = field(default_factory=list)

    def client(self, scope: str = "wallet", *, patience_seconds: float = 60) -> Any:  # noqa: ANN401
        http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.home.port}",
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            event_hooks={"request": [self._goes_out]},
            headers={"connection": "close"},
        )
        return example.WalletClient(
            http,
            self.tokens[scope],
            self.book,
            patience_seconds=patience_seconds,
            sleep=self.paused.append,
            now=lambda: sum(self.paused),
            chance=random.Random(7),
        )

    def _goes_out(self, request: httpx.Request) -> None:
        if self.faults and (fault := self.faults.pop(0)):
            request.headers["x-sandbox-fault"] = fault
        self.sent.append(request)

    def asked(self, path: str, **params: str) -> dict[str, Any]:
        """What the site's history says, behind the client's back."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.home.port}{path}",
            params=params,
            headers={"authorization": f"Bearer {self.tokens['read']}", "connection": "close"},
            trust_env=False,
        )
        found: dict[str, Any] = answer.json()["data"]
        return found

    def effects(self, key: str) -> list[Any]:
        """Every operation that has this id and changed something."""
        found = self.asked("/v1/transaction/by-reference/" + key).get("matches", [])
        return [one for one in found if one["applied"]]

    @property
    def balance(self) -> int:
        found = self.asked("/v1/player/wallet/balance", playerExternalId="aigerim", currency="KZT")
        return int(found["balance"])


@pytest.fixture
def platform(clone_url: str) -> Iterator[Platform]:
    with home(CASHIER_DATABASE_URL=clone_url) as made:

        async def created() -> merchants.CreatedSite:
            new = merchants.NewSite(
                name="Altyn Arcade",
                currencies=("KZT",),
                callout_url="https://shop.example.com/callout",
                notify_url="https://shop.example.com/notify",
                is_test=True,
            )
            settings = Settings.read(made.environ)
            async with wiring.opened(settings) as pipes, pipes.database.transaction() as tx:
                return await merchants.create_site(tx, new, at=pipes.clock.now())

        platform = Platform(made, asyncio.run(created()).tokens)
        process = made.spawn("web")
        until(lambda: process.poll() is not None or answers(made.port), "web")
        assert process.poll() is None, made.said
        httpx.post(
            f"http://127.0.0.1:{made.port}/v1/player/create",
            json={"playerExternalId": "aigerim", "currency": "KZT"},
            headers={"authorization": f"Bearer {platform.tokens['wallet']}", "connection": "close"},
            trust_env=False,
        ).raise_for_status()
        yield platform
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) in {0, -signal.SIGTERM}, made.said


def test_whatever_happens_on_the_way_there_is_one_effect(platform: Platform) -> None:
    operator, game = platform.client(), platform.client("play")
    round_ = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", "providerId": "acme"}
    for number, fault in enumerate(FAULTS):
        bet = {"transactionId": f"b-{fault}", **round_, "roundId": f"r-{fault}", "amount": 100}
        won = {**bet, "transactionId": f"w-{fault}", "referenceId": f"b-{fault}", "amount": 30}
        wishes = {
            f"t-{fault}": partial(operator.deposit, f"t-{fault}", "aigerim", "KZT", 1000),
            f"b-{fault}": partial(game.play, "bet", bet),
            f"w-{fault}": partial(game.play, "win", won),
            f"o-{fault}": partial(operator.withdraw, f"o-{fault}", "aigerim", "KZT", 10),
        }
        for key, wish in wishes.items():
            platform.sent.clear()
            platform.faults = [fault, fault, ""]
            answer = wish()
            assert answer.is_done, answer
            assert platform.book.settled[key] == answer
            assert len(platform.effects(key)) == 1, key
            # Each try was the same, byte for byte; "duplicate" alone is answered at once.
            assert len(platform.sent) == (1 if fault == "duplicate" else 3)
            assert {one.content for one in platform.sent} == {platform.book.noted[key]}
            assert answer.data["duplicate"] is True
        assert platform.balance == (1000 - 100 + 30 - 10) * (number + 1)


def test_a_final_refusal_is_never_sent_again(platform: Platform) -> None:
    answer = platform.client().withdraw("t-1", "aigerim", "KZT", 5)
    assert (answer.code, answer.is_done, len(platform.sent)) == ("INSUFFICIENT_FUNDS", False, 1)
    assert platform.paused == []
    assert json.loads(platform.book.noted["t-1"])["transferId"] == "t-1"


def test_who_gives_up_has_voided_and_it_stays_void(platform: Platform) -> None:
    client = platform.client(patience_seconds=5)
    # Nothing arrives for as long as anybody waits; then the way is free again.
    lost = httpx.MockTransport(_never)
    way, client.http._transport = client.http._transport, lost
    client.sleep = lambda seconds: _freed(client, way, platform, seconds)
    answer = client.deposit("t-1", "aigerim", "KZT", 1000)
    assert (answer.is_done, answer.data["status"]) == (False, "voided")
    assert platform.book.settled["t-1"] == answer
    # What was on its way all the time comes too late.
    late = platform.client().deposit("t-1", "aigerim", "KZT", 1000)
    assert (late.code, late.is_done, platform.balance) == ("VOIDED", False, 0)


@pytest.mark.parametrize("key", ["t-1", "t-2%41", "t-3#x", "t-4?x=1", "t-5/void", "t 6/ä", "..", "."])
def test_who_gives_up_what_was_done_learns_it(platform: Platform, key: str) -> None:
    platform.faults = ["error-500"] * 50
    client = platform.client(patience_seconds=5)
    answer = client.deposit(key, "aigerim", "KZT", 1000)
    assert (answer.is_done, answer.data["status"], answer.data["transferId"]) == (True, "completed", key)
    assert platform.sent[-1].method == "GET"
    assert platform.balance == 1000


def test_pauses_grow_are_spread_and_obey_retry_after() -> None:
    told = iter([503, 503, 429, 409, 200])
    codes = {503: "OVERLOADED", 429: "RATE_LIMITED", 409: "IN_PROGRESS", 200: "OK"}

    def answer(_: httpx.Request) -> httpx.Response:
        status = next(told)
        content = {"code": codes[status], "message": "", "data": {"final": status == 200}}
        return httpx.Response(status, json=content, headers={"retry-after": "3"} if status == 429 else {})

    paused: list[float] = []
    http = httpx.Client(base_url="https://cashier.example.com", transport=httpx.MockTransport(answer))
    client = example.WalletClient(
        http, "ck_wallet", Book(), sleep=paused.append, now=lambda: sum(paused), chance=random.Random(7)
    )
    assert client.deposit("t-1", "aigerim", "KZT", 1).is_done
    assert len(paused) == 4
    assert paused[2] == 3
    for pause, most in zip(paused, (0.4, 0.8, 3.0, 3.2), strict=True):
        assert most / 2 <= pause <= most


@pytest.mark.parametrize(
    ("status", "code", "content"),
    [
        (401, "UNAUTHENTICATED", {"message": "The bearer token is revoked.", "data": {"final": True}}),
        (403, "FORBIDDEN", {"message": "This token may not do this.", "data": {"final": True}}),
        (403, "", {}),
    ],
)
def test_a_token_that_is_refused_settles_nothing(status: int, code: str, content: dict[str, Any]) -> None:
    told = iter([(503, {"code": "OVERLOADED", "message": "", "data": {"final": False}})])

    def answer(_: httpx.Request) -> httpx.Response:
        its_status, its_content = next(told, (status, {"code": code, **content}))
        return httpx.Response(its_status, json=its_content)

    book = Book()
    http = httpx.Client(base_url="https://cashier.example.com", transport=httpx.MockTransport(answer))
    client = example.WalletClient(http, "ck_wallet", book, sleep=lambda _: None)
    with pytest.raises(example.TokenRefused) as caught:
        client.deposit("t-1", "aigerim", "KZT", 1)
    assert str(caught.value) == content.get("message", "HTTP 403")
    assert (list(book.noted), book.settled) == (["t-1"], {})


def test_a_void_that_is_not_understood_settles_nothing() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/void"):
            return httpx.Response(500, json={"code": "INTERNAL", "message": "", "data": {"final": False}})
        content = {"code": "VALIDATION", "message": "There is no such call.", "data": {"final": True}}
        return httpx.Response(404, json=content)

    book, paused = Book(), list[float]()
    http = httpx.Client(base_url="https://cashier.example.com", transport=httpx.MockTransport(answer))
    client = example.WalletClient(
        http, "ck_wallet", book, patience_seconds=5, sleep=paused.append, now=lambda: sum(paused)
    )
    with pytest.raises(example.GivenUp, match="VALIDATION"):
        client.deposit("t-1", "aigerim", "KZT", 1)
    assert book.settled == {}


def test_who_gives_up_hears_what_came_instead() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"\x1f\x8b garbage", headers={"content-encoding": "gzip"})

    paused: list[float] = []
    http = httpx.Client(base_url="https://cashier.example.com", transport=httpx.MockTransport(answer))
    client = example.WalletClient(
        http, "ck_play", Book(), patience_seconds=5, sleep=paused.append, now=lambda: sum(paused)
    )
    with pytest.raises(example.GivenUp) as caught:
        client.play("bet", {"transactionId": "b-1"})
    assert str(caught.value) == "POST /v1/game/bet: no final answer in 5 seconds, lastly DecodingError"


def _never(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectTimeout("nobody", request=request)


def _freed(client: Any, way: httpx.BaseTransport, platform: Platform, seconds: float) -> None:  # noqa: ANN401
    """Time passes; when the client's patience is nearly over, the way is free."""
    platform.paused.append(seconds)
    if sum(platform.paused) > 4:
        client.http._transport = way


def test_the_sequence_of_the_readme_runs_twice_and_moves_money_once(
    platform: Platform, tmp_path: Path
) -> None:
    [block] = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "var").mkdir()
    demo = {"base_url": f"http://127.0.0.1:{platform.home.port}", "api_tokens": dict(platform.tokens)}
    (tmp_path / "var" / "demo.json").write_text(json.dumps(demo))
    for is_again in (False, True):
        done = subprocess.run(
            ["bash", "-ceu", block], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        created, *moved = [json.loads(line) for line in done.stdout.splitlines()]
        assert created["code"] == "OK"
        assert [(one["code"], one["data"]["duplicate"]) for one in moved] == [("OK", is_again)] * 3
        told = platform.asked("/v1/player/wallet/balance", playerExternalId="marat", currency="KZT")
        assert int(told["balance"]) == 150_000
