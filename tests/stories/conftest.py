"""What stories share: a stage, and a curtain that compares the transcript with the committed one."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.callouts import operations as asking
from app.kernel.clock import MovableClock
from app.providers.gateways import sandbox
from tests.stories.stage import Stage, staged

TRANSCRIPTS = Path(__file__).parent / "transcripts"

Told = Callable[[], Awaitable[str]]


@pytest.fixture
def impatient_with_merchants(monkeypatch: pytest.MonkeyPatch) -> None:
    """For stories whose merchant hangs; the real deadlines of all others leave a busy machine its time."""
    monkeypatch.setattr(asking, "DEADLINE_SECONDS", 1.0)


@pytest.fixture
def impatient_with_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """For stories whose provider hangs."""
    monkeypatch.setattr(sandbox, "DEADLINE_SECONDS", 1.0)


@pytest.fixture
async def stage(clone_url: str, clock: MovableClock) -> AsyncIterator[Stage]:
    """A raised stage."""
    async with staged(clone_url, clock) as raised:
        yield raised


@pytest.fixture
def told(stage: Stage, request: pytest.FixtureRequest) -> Told:
    """End the story: its transcript must be the committed one; CASHIER_WRITE_TRANSCRIPTS=1 writes it anew."""

    async def compare() -> str:
        transcript = await stage.curtain()
        file = TRANSCRIPTS / f"{request.node.name.removeprefix('test_')}.txt"
        if os.environ.get("CASHIER_WRITE_TRANSCRIPTS"):
            file.write_text(transcript)
        assert file.exists(), f"{file.name} is missing; write it with CASHIER_WRITE_TRANSCRIPTS=1 and read it"
        assert transcript == file.read_text()
        return transcript

    return compare
