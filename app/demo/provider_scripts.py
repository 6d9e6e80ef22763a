"""What the sandbox provider can be told to do with a deposit: each script as a list of steps. Pure.

A script is chosen, in this order: by `[script:name]` at the start of the description, by the last two digits
of `amount_minor`, or on the page the player sees. docs/sandbox.md has the same table for people.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "CODES",
    "ENDINGS",
    "MARK",
    "ON_PAGE",
    "PLANS",
    "SENTENCES",
    "Pause",
    "Script",
    "Status",
    "Step",
    "Telling",
    "chosen_by",
]


class Status(StrEnum):
    """The life of a deposit at the sandbox provider."""

    AWAITING_PLAYER = "awaiting_player"
    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"


# The provider's own code and message beside each status; they mean nothing to anybody else.
CODES: Final = {
    Status.AWAITING_PLAYER: ("10", "Waiting for the player"),
    Status.PENDING: ("11", "In progress"),
    Status.APPROVED: ("00", "Approved"),
    Status.DECLINED: ("05", "Declined by the bank"),
    Status.CANCELLED: ("17", "Cancelled by the player"),
}


class Script(StrEnum):
    """The behaviours of the sandbox."""

    NEEDS_PLAYER = "needs_player"
    APPROVE = "approve"
    DECLINE = "decline"
    CANCEL = "cancel"
    PENDING_THEN_APPROVE = "pending_then_approve"
    TIME_OUT_THEN_SUCCEED = "time_out_then_succeed"
    NEVER_ANSWER = "never_answer"
    GARBAGE_ANSWER = "garbage_answer"
    NOTICE_BEFORE_ANSWER = "notice_before_answer"
    SUCCEED_TWICE = "succeed_twice"
    SUCCEED_TWICE_SAME_NOTICE = "succeed_twice_same_notice"
    FAIL_AFTER_SUCCESS = "fail_after_success"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_REFERENCE = "unknown_reference"


class Pause(StrEnum):
    """How long after the step before: at once, a moment, or longer than any caller waits for an answer."""

    NONE = "none"
    SHORT = "short"
    LONG = "long"


class Telling(StrEnum):
    """The notice that goes out with a step, and what is wrong with it."""

    NOTHING = "nothing"
    TRUTH = "truth"
    SAME_AGAIN = "same_again"  # the last notice once more: same notice_id, same bytes
    BADLY_SIGNED = "badly_signed"
    OF_NOBODY = "of_nobody"  # for a reference that nobody knows


@dataclass(frozen=True, slots=True)
class Step:
    """After `after`, the order becomes `status`, and the notice `tells` goes out."""

    status: Status
    tells: Telling = Telling.NOTHING
    after: Pause = Pause.NONE


APPROVED: Final = Step(Status.APPROVED, Telling.TRUTH)
SILENT: Final = Step(Status.PENDING)

# The first step of a plan happens at once (no pause): the answer to the request that chose it tells it.
PLANS: Final[dict[Script, tuple[Step, ...]]] = {
    Script.NEEDS_PLAYER: (Step(Status.AWAITING_PLAYER),),
    Script.APPROVE: (APPROVED,),
    Script.DECLINE: (Step(Status.DECLINED, Telling.TRUTH),),
    Script.CANCEL: (Step(Status.CANCELLED, Telling.TRUTH),),
    Script.PENDING_THEN_APPROVE: (SILENT, Step(Status.APPROVED, Telling.TRUTH, Pause.SHORT)),
    Script.TIME_OUT_THEN_SUCCEED: (SILENT, Step(Status.APPROVED, Telling.TRUTH, Pause.LONG)),
    Script.NEVER_ANSWER: (SILENT,),
    Script.GARBAGE_ANSWER: (SILENT,),
    Script.NOTICE_BEFORE_ANSWER: (APPROVED,),
    Script.SUCCEED_TWICE: (APPROVED, Step(Status.APPROVED, Telling.TRUTH, Pause.SHORT)),
    Script.SUCCEED_TWICE_SAME_NOTICE: (APPROVED, Step(Status.APPROVED, Telling.SAME_AGAIN, Pause.SHORT)),
    Script.FAIL_AFTER_SUCCESS: (APPROVED, Step(Status.DECLINED, Telling.TRUTH, Pause.SHORT)),
    Script.WRONG_AMOUNT: (APPROVED,),
    Script.WRONG_CURRENCY: (APPROVED,),
    Script.BAD_SIGNATURE: (Step(Status.APPROVED, Telling.BADLY_SIGNED),),
    Script.UNKNOWN_REFERENCE: (Step(Status.APPROVED, Telling.OF_NOBODY),),
}

# The last two digits of amount_minor. 10 is left out: round prices in currencies without decimals end so.
ENDINGS: Final[dict[str, Script]] = {
    "01": Script.APPROVE,
    "02": Script.DECLINE,
    "03": Script.PENDING_THEN_APPROVE,
    "04": Script.TIME_OUT_THEN_SUCCEED,
    "05": Script.NEVER_ANSWER,
    "06": Script.GARBAGE_ANSWER,
    "07": Script.NOTICE_BEFORE_ANSWER,
    "08": Script.SUCCEED_TWICE,
    "09": Script.SUCCEED_TWICE_SAME_NOTICE,
    "11": Script.FAIL_AFTER_SUCCESS,
    "12": Script.WRONG_AMOUNT,
    "13": Script.WRONG_CURRENCY,
    "14": Script.BAD_SIGNATURE,
    "15": Script.UNKNOWN_REFERENCE,
    "16": Script.CANCEL,
}

SENTENCES: Final[dict[Script, str]] = {
    Script.NEEDS_PLAYER: "The player decides on the provider's page.",
    Script.APPROVE: "Approved.",
    Script.DECLINE: "Declined by the bank.",
    Script.CANCEL: "Cancelled by the player.",
    Script.PENDING_THEN_APPROVE: "Pending; approved a moment later.",
    Script.TIME_OUT_THEN_SUCCEED: "The API is silent past the caller's deadline; the money is taken later.",
    Script.NEVER_ANSWER: "The API never answers about this order, and no notice comes.",
    Script.GARBAGE_ANSWER: "The API answers something unreadable, and no notice comes.",
    Script.NOTICE_BEFORE_ANSWER: "Approved; the notice is acknowledged before the answer is given.",
    Script.SUCCEED_TWICE: "Approved, and told twice in two notices.",
    Script.SUCCEED_TWICE_SAME_NOTICE: "Approved, and the very same notice is sent twice.",
    Script.FAIL_AFTER_SUCCESS: "Approved, then declined a moment later.",
    Script.WRONG_AMOUNT: "Approved with half of the amount.",
    Script.WRONG_CURRENCY: "Approved in another currency.",
    Script.BAD_SIGNATURE: "Approved, but the notice is wrongly signed.",
    Script.UNKNOWN_REFERENCE: "Approved, but the notice names a reference nobody knows.",
}

# On the page the player is there already: everything but waiting for the player.
ON_PAGE: Final = tuple(script for script in Script if script is not Script.NEEDS_PLAYER)

MARK: Final = re.compile(r"\[script:([a-z_]+)\]\s*")


def chosen_by(*, description: str, amount_minor: int) -> Script:
    """Return the script an order asks for by its description or by its amount; NEEDS_PLAYER if by neither.

    Raises ValueError for a `[script:...]` that does not exist: a misspelt test must not pass by waiting.
    """
    mark = MARK.match(description)
    if mark is not None:
        return Script(mark[1])
    return ENDINGS.get(f"{amount_minor % 100:02}", Script.NEEDS_PLAYER)
