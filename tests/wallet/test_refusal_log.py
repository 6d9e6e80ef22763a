"""What is refused and leaves no record in the wallet's history leaves a line in the log (rule 90)."""

from collections.abc import Mapping, Sequence

from structlog.testing import capture_logs

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.wallet.counter import Json, opened

WHO = {"playerExternalId": "aigerim", "currency": "KZT"}


def lines(logs: Sequence[Mapping[str, object]]) -> list[tuple[object, ...]]:
    told = [one for one in logs if one["event"] == "wallet.refused"]
    return [(one["player"], one["operation"], str(one["code"]), one["field"]) for one in told]


async def test_each_refusal_without_a_record_has_its_line(database: Database, clock: MovableClock) -> None:
    async with opened(database, clock) as counter:
        await counter.player(cash=1000)
        with capture_logs() as logs:
            await counter.play("bet", "b-1", amount=-1)
            await counter.play("win", "w-1", referenceId="b-9", amount=5)
            await counter.deposit(1, "t-2", login="nobody")
            await counter.post("/v1/game/bet", [], scope="play")
            body: Json = {"operations": [{"type": "deposit", "amount": 0, "transferId": "t-3", **WHO}, 7]}
            await counter.post("/v1/player/wallet/batch", body)
            await counter.post("/v1/player/wallet/batch", {"operations": 5})
        assert lines(logs) == [
            ("aigerim", "b-1", "VALIDATION", "amount"),
            ("aigerim", "w-1", "BET_NOT_FOUND", None),
            ("nobody", "t-2", "PLAYER_NOT_FOUND", None),
            (None, None, "VALIDATION", "body"),
            ("aigerim", "t-3", "VALIDATION", "operations.0.amount"),
            (None, None, "VALIDATION", "operations.1.operation"),
            (None, None, "VALIDATION", "operations"),
        ]
        assert {one["site_id"] for one in logs if one["event"] == "wallet.refused"} == {counter.site_id}


async def test_what_is_stored_or_done_has_none(database: Database, clock: MovableClock) -> None:
    async with opened(database, clock) as counter:
        await counter.player(cash=1000)
        with capture_logs() as logs:
            await counter.play("bet", "b-1", amount=100)
            await counter.play("bet", "b-2", amount=5000)
            await counter.play("bet", "b-2", amount=5000)
        assert lines(logs) == []
