"""What goes wrong, and when: every fault of a simulation comes from one generator. Pure."""

from collections import Counter, deque
from collections.abc import Collection, Mapping
from enum import StrEnum
from random import Random
from typing import Final

__all__ = ["Chance", "Fault", "Place"]


class Place(StrEnum):
    """Where a fault strikes."""

    SENDING = "sending"  # a new order of ours on its way to the bank
    WIRE = "wire"  # any call of ours to a peer
    ORDER = "order"  # what the bank makes of a new order
    NOTICE = "notice"  # what the bank tells us of one
    PROCESS = "process"  # ours, at a transaction
    PEER = "peer"


class Fault(StrEnum):
    """What can go wrong."""

    REQUEST_LOST = "request_lost"
    ANSWER_LOST = "answer_lost"
    ANSWER_LATE = "answer_late"
    NOT_CONNECTED = "not_connected"
    SERVER_ERROR = "server_error"
    GARBAGE = "garbage"
    REPEATED = "repeated"
    KILLED_BEFORE_SENDING = "killed_before_sending"
    KILLED_AFTER_ANSWER = "killed_after_answer"
    OTHER_AMOUNT = "other_amount"
    FAILURE_AFTER_SUCCESS = "failure_after_success"
    SUCCESS_AFTER_FAILURE = "success_after_failure"
    NOT_PAID_AFTER_ALL = "not_paid_after_all"
    NOTICE_LOST = "notice_lost"
    NOTICE_REPEATED = "notice_repeated"
    NOTICE_REORDERED = "notice_reordered"
    KILLED_BEFORE_TRANSACTION = "killed_before_transaction"
    KILLED_AFTER_COMMIT = "killed_after_commit"
    BANK_GONE = "bank_gone"
    MERCHANT_GONE = "merchant_gone"


F = Fault
# Silence is what hurts most, so it comes most often.
WEIGHTS: Final[Mapping[Place, Mapping[Fault, int]]] = {
    Place.SENDING: {
        F.REQUEST_LOST: 6,
        F.ANSWER_LOST: 9,
        F.ANSWER_LATE: 9,
        F.GARBAGE: 4,
        F.REPEATED: 4,
        F.KILLED_BEFORE_SENDING: 4,
        F.KILLED_AFTER_ANSWER: 6,
    },
    Place.WIRE: {
        F.REQUEST_LOST: 9,
        F.ANSWER_LOST: 12,
        F.ANSWER_LATE: 8,
        F.NOT_CONNECTED: 6,
        F.SERVER_ERROR: 7,
        F.GARBAGE: 7,
        F.REPEATED: 8,
        F.KILLED_BEFORE_SENDING: 4,
        F.KILLED_AFTER_ANSWER: 6,
    },
    Place.ORDER: {
        F.OTHER_AMOUNT: 3,
        F.FAILURE_AFTER_SUCCESS: 4,
        F.SUCCESS_AFTER_FAILURE: 4,
        F.NOT_PAID_AFTER_ALL: 4,
    },
    Place.NOTICE: {F.NOTICE_LOST: 6, F.NOTICE_REPEATED: 6, F.NOTICE_REORDERED: 6},
    Place.PROCESS: {F.KILLED_BEFORE_TRANSACTION: 4, F.KILLED_AFTER_COMMIT: 6},
    Place.PEER: {F.BANK_GONE: 1, F.MERCHANT_GONE: 1},
}
assert set().union(*WEIGHTS.values()) == set(Fault)
# Armed faults strike when something of their kind happens next, but not all in a row.
STRIKES: Final = 0.5


class Chance:
    """The dice of one simulation."""

    def __init__(self, seed: int) -> None:
        """Begin the story of `seed`."""
        self.random = Random(seed)  # noqa: S311  repeatable on purpose
        self.struck: Counter[Fault] = Counter()
        self._armed: dict[Place, deque[Fault]] = {place: deque() for place in Place}

    def draw(self, places: Collection[Place] = tuple(Place)) -> tuple[Place, Fault]:
        """One fault at one of these places, by weight."""
        every = [
            (place, fault, weight)
            for place, own in WEIGHTS.items()
            for fault, weight in own.items()
            if place in places
        ]
        place, fault, _ = self.random.choices(every, weights=[weight for *_, weight in every])[0]
        return place, fault

    def arm(self, place: Place, fault: Fault) -> None:
        """Let it strike at the next occasion, or at one soon after."""
        self._armed[place].append(fault)

    def strike(self, place: Place) -> Fault | None:
        """The fault that strikes here and now, if one does."""
        if not self._armed[place] or self.random.random() > STRIKES:
            return None
        fault = self._armed[place].popleft()
        self.struck[fault] += 1
        return fault

    def heal(self) -> int:
        """Nothing goes wrong any more; returns how many faults found no occasion."""
        left = sum(len(armed) for armed in self._armed.values())
        for armed in self._armed.values():
            armed.clear()
        return left

    def between(self, least: float, most: float) -> float:
        """Any number of seconds in between."""
        return self.random.uniform(least, most)

    def happens(self, probability: float) -> bool:
        """Whether something with this probability happens."""
        return self.random.random() < probability
