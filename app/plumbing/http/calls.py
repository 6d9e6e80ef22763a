"""The words of an outgoing call: how it can end, and how much of it one peer may have."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.plumbing.breaker import BreakerState

__all__ = ["CallFailed", "FailureKind", "PeerLimits", "PeerState", "Reply"]


class FailureKind(StrEnum):
    """How a call ended without an answer."""

    REFUSED_ADDRESS = "refused_address"  # the URL, or what its name leads to, may not be reached from here
    BREAKER_OPEN = "breaker_open"  # the peer failed too often just now
    PEER_BUSY = "peer_busy"  # as many calls to this peer are under way and waiting as it may have
    NOT_CONNECTED = "not_connected"  # the name, TCP or TLS failed
    TIMED_OUT = "timed_out"  # the deadline passed, at whatever step
    BROKEN = "broken"  # the connection was lost after the request had begun to leave
    TOO_LARGE = "too_large"  # the answer went over its limit, packed or unpacked
    MALFORMED = "malformed"  # the answer is not HTTP, or cannot be unpacked


BEFORE_SENDING = frozenset(
    {FailureKind.REFUSED_ADDRESS, FailureKind.BREAKER_OPEN, FailureKind.PEER_BUSY, FailureKind.NOT_CONNECTED}
)


class CallFailed(Exception):
    """No answer came. Unless `nothing_was_sent`, what the peer made of the request is unknown, not failed."""

    def __init__(self, kind: FailureKind, peer: str, detail: str, *, sent: bool = True) -> None:
        """Say what happened.

        Args:
            kind: how it ended.
            peer: whom we called, without path and query.
            detail: one line for the operator.
            sent: whether a byte of the request may have left; it matters for `TIMED_OUT` only.
        """
        super().__init__(f"{peer}: {kind.value}: {detail}")
        self.kind = kind
        self.peer = peer
        self.detail = detail
        self._sent = sent

    @property
    def nothing_was_sent(self) -> bool:
        """True only if definitely no byte of the request left us, so the peer cannot have acted on it."""
        return self.kind in BEFORE_SENDING or (self.kind is FailureKind.TIMED_OUT and not self._sent)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the peer answered, whatever its status; header names are in lower case, the body is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """The bulkhead of one peer, in calls."""

    in_flight: int = 16  # with answers in 200 ms that is 80 calls a second
    waiting: int = 64  # four rounds; whoever comes later would hardly be served before its deadline


@dataclass(frozen=True, slots=True)
class PeerState:
    """One peer as the desk shows it; what this process knows of it."""

    peer: str
    breaker: BreakerState
    failures_in_a_row: int
    seconds_to_probe: float
    in_flight: int
    waiting: int
