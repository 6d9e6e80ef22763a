"""A client of the wallet API that never does anything twice and never guesses.

Copy it. It needs httpx and nothing else. What it shows:

- every operation has an id of yours, written down before it is sent (`Outbox`);
- what was not answered is sent again with the same id and the same bytes, later and later;
- a final answer, yes or no, is never sent again;
- a token that is refused decides nothing: an earlier try may have been carried out, so nothing is settled;
- when patience ends, a transfer is voided: then it is certain that it will not happen, or that it has.

After a crash, call the same method with the same arguments for everything that was noted and not settled.
"""
# ruff: noqa: INP001  a file to be copied, not a module of the house

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx

__all__ = ["Answer", "GivenUp", "Outbox", "TokenRefused", "WalletClient"]

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
_ABOUT_THE_TOKEN: Final = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: what was decided about one id, the same whenever it is asked."""

    status: int
    code: str
    message: str
    data: Mapping[str, Any]

    @property
    def is_done(self) -> bool:
        """It was carried out, now or before, or there was nothing to do; what was voided was not."""
        return self.status == httpx.codes.OK and self.data.get("status", "completed") == "completed"

    @property
    def is_final(self) -> bool:
        """Asking again changes nothing; every answer says so itself."""
        return self.status < httpx.codes.INTERNAL_SERVER_ERROR and bool(self.data.get("final", True))


class GivenUp(Exception):
    """No final answer came in time: the outcome is unknown. Send the same bytes again later."""


class TokenRefused(Exception):
    """The token is unknown, revoked, or of another scope. Replace it and call again with the same arguments.

    Nothing is known of the operation: a try before this one may have been carried out.
    """


class Outbox(Protocol):
    """Your table of operations: written before the first byte leaves, so that a crash forgets nothing."""

    def note(self, key: str, path: str, content: bytes) -> None:
        """Keep what is about to be sent."""

    def settle(self, key: str, answer: Answer) -> None:
        """Keep how it ended."""


@dataclass
class WalletClient:
    """Speaks for one site.

    Args:
        http: with `base_url` and a timeout; 5 seconds are enough.
        token: of scope `wallet` for transfers, of scope `play` for games.
        outbox: where operations are written down.
        patience_seconds: how long one operation is asked for before it is given up.
        sleep, now, chance: replaced in tests.
    """

    http: httpx.Client
    token: str
    outbox: Outbox
    patience_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.SystemRandom)

    def deposit(self, transfer_id: str, player: str, currency: str, amount: int) -> Answer:
        """Move money into a player's wallet, or make sure that it will not move.

        Args:
            transfer_id: yours, new for each wish and the same for each try.
            player: your id of the player.
            currency: of the amount.
            amount: minor units.

        Raises:
            GivenUp: not even the void was answered; call again with the same arguments.
            TokenRefused: as every call; with a good token, call again with the same arguments.
        """
        return self._transfer("deposit", transfer_id, player, currency, amount)

    def withdraw(self, transfer_id: str, player: str, currency: str, amount: int | None = None) -> Answer:
        """Move money out of a wallet; without an amount, all there is.

        Raises:
            GivenUp: as for `deposit`.
        """
        return self._transfer("withdraw", transfer_id, player, currency, amount)

    def transfer(self, transfer_id: str) -> Answer:
        """What became of a transfer. TRANSFER_NOT_FOUND means not yet: it may still arrive."""
        return self._until_final("GET", self._path(transfer_id), b"")

    def void(self, transfer_id: str) -> Answer:
        """Make sure that a transfer never happens; TRANSFER_COMPLETED: it has."""
        return self._until_final("POST", f"{self._path(transfer_id)}/void", b"")

    @staticmethod
    def _path(transfer_id: str) -> str:
        # Encoded whole: with "q-2%41" left as it is, another transfer would be voided; with "..", none.
        return f"/v1/player/wallet/transfer/{quote(transfer_id, safe='').replace('.', '%2E')}"

    def play(self, name: str, body: Mapping[str, Any]) -> Answer:
        """A bet, win, betwin or rollback, with a `transactionId` of yours.

        Raises:
            GivenUp: the outcome is unknown. Of a bet: send a rollback of it, until that is answered; it works
                whether the bet has come, is on its way, or never comes. Of all else: send the same again.
        """
        return self._sent(str(body["transactionId"]), f"/v1/game/{name}", body)

    def _transfer(
        self, name: str, transfer_id: str, player: str, currency: str, amount: int | None
    ) -> Answer:
        body: dict[str, object] = {
            "playerExternalId": player,
            "currency": currency,
            "transferId": transfer_id,
            **({"all": True} if amount is None else {"amount": amount}),
        }
        try:
            return self._sent(transfer_id, f"/v1/player/wallet/{name}", body)
        except GivenUp:
            voided = self.void(transfer_id)
        if voided.code not in {"OK", "TRANSFER_COMPLETED"}:
            raise GivenUp(f"{name} {transfer_id}: not answered, and its void neither: {voided.code}")
        # Refused as VOIDED from now on; or it was done, and its own answer tells how.
        answer = self.transfer(transfer_id) if voided.code == "TRANSFER_COMPLETED" else voided
        self.outbox.settle(transfer_id, answer)
        return answer

    def _sent(self, key: str, path: str, body: Mapping[str, object]) -> Answer:
        content = json.dumps(body).encode()
        self.outbox.note(key, path, content)
        answer = self._until_final("POST", path, content)
        self.outbox.settle(key, answer)
        return answer

    def _until_final(self, method: str, path: str, content: bytes) -> Answer:
        gives_up_at, pause_seconds = self.now() + self.patience_seconds, _FIRST_PAUSE_SECONDS
        while True:
            answer, problem, wait_seconds = self._once(method, path, content)
            if answer is not None:
                return answer
            # Spread out, or all that waited come back in the same instant.
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, pause_seconds * 2)
            wait_seconds = max(wait_seconds, pause_seconds * self.chance.uniform(0.5, 1.0))
            if self.now() + wait_seconds > gives_up_at:
                raise GivenUp(
                    f"{method} {path}: no final answer in {self.patience_seconds:g} seconds, lastly {problem}"
                )
            self.sleep(wait_seconds)

    def _once(self, method: str, path: str, content: bytes) -> tuple[Answer | None, str, float]:
        """One try: a final answer; or what came instead, and how many seconds to wait at least."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        try:
            response = self.http.request(method, path, content=content, headers=headers)
        except httpx.RequestError as error:
            # Sent or not, done or not: nobody knows. The same id makes it safe to ask again.
            return None, type(error).__name__, 0.0
        answer = _read(response)
        if response.status_code in _ABOUT_THE_TOKEN:
            raise TokenRefused(answer.message if answer else f"HTTP {response.status_code}")
        if answer is not None and answer.is_final:
            return answer, "", 0.0
        problem = f"HTTP {response.status_code} {answer.code if answer else 'that could not be read'}"
        return None, problem, _seconds(response.headers.get("retry-after", ""))


def _read(response: httpx.Response) -> Answer | None:
    """An envelope; None for whatever else a proxy or a broken connection makes of one."""
    try:
        said = response.json()
        return Answer(response.status_code, str(said["code"]), str(said["message"]), dict(said["data"]))
    except (ValueError, KeyError, TypeError):
        return None


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
