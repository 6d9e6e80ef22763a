"""What the sandbox provider can be told to do with an order: each script as a list of steps. Pure.

A script is chosen, in this order: by `[script:name]` at the start of the description (of a refund: the
reason), by the last two digits of `amount_minor`, or on the page the player sees. docs/sandbox.md has the
same table for people.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "CODES",
    "DECISIONS",
    "ENDINGS",
    "MARK",
    "NEXT_STAGES",
    "ON_PAGE",
    "PLANS",
    "REFUSALS",
    "REFUSED_BY",
    "SENTENCES",
    "TAKES_MONEY",
    "Kind",
    "Pause",
    "Script",
    "Stage",
    "Status",
    "Step",
    "Telling",
    "chosen_by",
]


class Kind(StrEnum):
    """Which way the money of an order goes."""

    DEPOSIT = "deposit"
    PAYOUT = "payout"
    REFUND = "refund"


class Status(StrEnum):
    """The life of an order at the sandbox provider."""

    AWAITING_PLAYER = "awaiting_player"
    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    REVERSED = "reversed"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """The life of a dispute: the player's bank takes a deposit back."""

    EARLY_WARNING = "early_warning"
    PREVENTED = "prevented"
    OPENED = "opened"
    NEEDS_RESPONSE = "needs_response"
    SUBMITTED = "submitted"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    PRE_ARBITRATION = "pre_arbitration"


# The provider's own code and message beside each status; they mean nothing to anybody else.
CODES: Final = {
    Status.AWAITING_PLAYER: ("10", "Waiting for the player"),
    Status.PENDING: ("11", "In progress"),
    Status.APPROVED: ("00", "Approved"),
    Status.DECLINED: ("05", "Declined by the bank"),
    Status.CANCELLED: ("17", "Cancelled by the player"),
    Status.RETURNED: ("85", "Came back from the player's bank"),
    Status.REVERSED: ("86", "Taken back"),
    Status.UNKNOWN: ("96", "Not known; ask again later"),
}
# Why an order was declined, where it was not simply the bank's wish.
REFUSALS: Final = {
    "14": "No such card, account or deposit",
    "51": "Not enough of the merchant's money here",
    "61": "More than is left of the deposit",
    "78": "The account is closed",
    "91": "Out of service here; another acquirer may take it",
}
# While a dispute stands so, its amount is with the player's bank and not with the merchant.
TAKES_MONEY: Final = frozenset(Stage) - {Stage.EARLY_WARNING, Stage.PREVENTED, Stage.WON}


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
    REVERSE_AFTER_SUCCESS = "reverse_after_success"
    CHARGEBACK = "chargeback"
    CHARGEBACK_WON = "chargeback_won"
    CHARGEBACK_LOST = "chargeback_lost"
    EARLY_WARNING = "early_warning"
    RETURN_AFTER_SUCCESS = "return_after_success"
    PENDING_THEN_DECLINE = "pending_then_decline"
    SAYS_UNKNOWN = "says_unknown"
    TIME_OUT_THEN_DECLINE = "time_out_then_decline"
    NOT_FOUND_THEN_SUCCEED = "not_found_then_succeed"
    NO_FUNDS = "no_funds"
    HOLD = "hold"
    REFUSED_HERE = "refused_here"
    UNDELIVERABLE = "undeliverable"


# For what the bank declines whose script says so.
REFUSED_BY: Final = {
    Script.NO_FUNDS: "51",
    Script.UNDELIVERABLE: "78",
    Script.REFUSED_HERE: "91",
}


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
    DISPUTE = "dispute"  # of a dispute about the order, not of the order itself


@dataclass(frozen=True, slots=True)
class Step:
    """After `after`, the order becomes `status` (its dispute `stage`), and the notice `tells` goes out."""

    status: Status
    tells: Telling = Telling.NOTHING
    after: Pause = Pause.NONE
    stage: Stage | None = None


APPROVED: Final = Step(Status.APPROVED, Telling.TRUTH)
DECLINED: Final = Step(Status.DECLINED, Telling.TRUTH)
SILENT: Final = Step(Status.PENDING)


def _later(status: Status, tells: Telling = Telling.TRUTH, pause: Pause = Pause.SHORT) -> Step:
    return Step(status, tells, pause)


def _disputed(stage: Stage) -> Step:
    return Step(Status.APPROVED, Telling.DISPUTE, Pause.SHORT, stage)


# The first step of a plan happens at once (no pause): the answer to the request that chose it tells it.
PLANS: Final[dict[Script, tuple[Step, ...]]] = {
    Script.NEEDS_PLAYER: (Step(Status.AWAITING_PLAYER),),
    Script.APPROVE: (APPROVED,),
    Script.DECLINE: (DECLINED,),
    Script.CANCEL: (Step(Status.CANCELLED, Telling.TRUTH),),
    Script.PENDING_THEN_APPROVE: (SILENT, _later(Status.APPROVED)),
    Script.TIME_OUT_THEN_SUCCEED: (SILENT, _later(Status.APPROVED, pause=Pause.LONG)),
    Script.NEVER_ANSWER: (SILENT,),
    Script.GARBAGE_ANSWER: (SILENT,),
    Script.NOTICE_BEFORE_ANSWER: (APPROVED,),
    Script.SUCCEED_TWICE: (APPROVED, _later(Status.APPROVED)),
    Script.SUCCEED_TWICE_SAME_NOTICE: (APPROVED, _later(Status.APPROVED, Telling.SAME_AGAIN)),
    Script.FAIL_AFTER_SUCCESS: (APPROVED, _later(Status.DECLINED)),
    Script.WRONG_AMOUNT: (APPROVED,),
    Script.WRONG_CURRENCY: (APPROVED,),
    Script.BAD_SIGNATURE: (Step(Status.APPROVED, Telling.BADLY_SIGNED),),
    Script.UNKNOWN_REFERENCE: (Step(Status.APPROVED, Telling.OF_NOBODY),),
    Script.REVERSE_AFTER_SUCCESS: (APPROVED, _later(Status.REVERSED)),
    Script.CHARGEBACK: (APPROVED, _disputed(Stage.OPENED)),
    Script.CHARGEBACK_WON: (APPROVED, _disputed(Stage.OPENED), _disputed(Stage.WON)),
    Script.CHARGEBACK_LOST: (APPROVED, _disputed(Stage.OPENED), _disputed(Stage.LOST)),
    Script.EARLY_WARNING: (APPROVED, _disputed(Stage.EARLY_WARNING)),
    Script.RETURN_AFTER_SUCCESS: (APPROVED, _later(Status.RETURNED)),
    Script.PENDING_THEN_DECLINE: (SILENT, _later(Status.DECLINED)),
    Script.SAYS_UNKNOWN: (Step(Status.UNKNOWN),),
    Script.TIME_OUT_THEN_DECLINE: (SILENT, _later(Status.DECLINED, pause=Pause.LONG)),
    Script.NOT_FOUND_THEN_SUCCEED: (SILENT, _later(Status.APPROVED, pause=Pause.LONG)),
    Script.NO_FUNDS: (DECLINED,),
    Script.HOLD: (SILENT,),
    Script.REFUSED_HERE: (DECLINED,),
    Script.UNDELIVERABLE: (DECLINED,),
}

# The last two digits of amount_minor. 10, 20 and 30 are left out: round prices in currencies without decimals
# end so.
_ALL_KINDS: Final[dict[str, Script]] = {
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
    "24": Script.PENDING_THEN_DECLINE,
    "25": Script.SAYS_UNKNOWN,
    "26": Script.TIME_OUT_THEN_DECLINE,
    "27": Script.NOT_FOUND_THEN_SUCCEED,
}
ENDINGS: Final[dict[Kind, dict[str, Script]]] = {
    Kind.DEPOSIT: _ALL_KINDS
    | {
        "16": Script.CANCEL,
        "17": Script.REVERSE_AFTER_SUCCESS,
        "18": Script.CHARGEBACK,
        "19": Script.CHARGEBACK_WON,
        "21": Script.CHARGEBACK_LOST,
        "22": Script.EARLY_WARNING,
        "31": Script.REFUSED_HERE,
    },
    Kind.PAYOUT: _ALL_KINDS
    | {
        "23": Script.RETURN_AFTER_SUCCESS,
        "28": Script.NO_FUNDS,
        "29": Script.HOLD,
        "31": Script.REFUSED_HERE,
        "32": Script.UNDELIVERABLE,
    },
    Kind.REFUND: _ALL_KINDS | {"17": Script.REVERSE_AFTER_SUCCESS, "29": Script.HOLD},
}
_OTHERWISE: Final = {
    Kind.DEPOSIT: Script.NEEDS_PLAYER,
    Kind.PAYOUT: Script.APPROVE,
    Kind.REFUND: Script.APPROVE,
}

SENTENCES: Final[dict[Script, str]] = {
    Script.NEEDS_PLAYER: "The player decides on the provider's page.",
    Script.APPROVE: "Approved.",
    Script.DECLINE: "Declined by the bank.",
    Script.CANCEL: "Cancelled by the player.",
    Script.PENDING_THEN_APPROVE: "Pending; approved a moment later.",
    Script.TIME_OUT_THEN_SUCCEED: "The API is silent past the caller's deadline; the money moves later.",
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
    Script.REVERSE_AFTER_SUCCESS: "Approved, and taken back a moment later.",
    Script.CHARGEBACK: "Approved; the player's bank disputes it a moment later.",
    Script.CHARGEBACK_WON: "Approved, disputed, and the dispute is won.",
    Script.CHARGEBACK_LOST: "Approved, disputed, and the dispute is lost.",
    Script.EARLY_WARNING: "Approved; a warning of a dispute comes a moment later.",
    Script.RETURN_AFTER_SUCCESS: "Paid, and sent back by the player's bank a moment later.",
    Script.PENDING_THEN_DECLINE: "Pending; declined a moment later.",
    Script.SAYS_UNKNOWN: "The API says that it does not know how the order stands, and no notice comes.",
    Script.TIME_OUT_THEN_DECLINE: "The API is silent past the caller's deadline; declined later.",
    Script.NOT_FOUND_THEN_SUCCEED: "The API is silent, then knows no such order; the money moves later.",
    Script.NO_FUNDS: "Declined for want of the merchant's money.",
    Script.HOLD: "Pending until somebody decides at the bank's desk.",
    Script.REFUSED_HERE: "The merchant's first account is out of service; any other one takes it.",
    Script.UNDELIVERABLE: "Declined because the destination's account is closed.",
}

# What somebody at the bank's desk can make of an order, by what it is.
DECISIONS: Final[dict[Kind, dict[Status, tuple[Status, ...]]]] = {
    Kind.DEPOSIT: {
        Status.PENDING: (Status.APPROVED, Status.DECLINED),
        Status.UNKNOWN: (Status.APPROVED, Status.DECLINED),
        Status.APPROVED: (Status.REVERSED, Status.DECLINED),
        Status.DECLINED: (Status.APPROVED,),
        Status.CANCELLED: (Status.APPROVED,),
    },
    Kind.PAYOUT: {
        Status.PENDING: (Status.APPROVED, Status.DECLINED),
        Status.UNKNOWN: (Status.APPROVED, Status.DECLINED),
        Status.APPROVED: (Status.RETURNED, Status.DECLINED),
        Status.DECLINED: (Status.APPROVED,),
    },
    Kind.REFUND: {
        Status.PENDING: (Status.APPROVED, Status.DECLINED),
        Status.UNKNOWN: (Status.APPROVED, Status.DECLINED),
        Status.APPROVED: (Status.REVERSED,),
        Status.DECLINED: (Status.APPROVED,),
    },
}
# How a dispute goes on; what ended may be followed by another dispute about the same deposit.
NEXT_STAGES: Final[dict[Stage | None, tuple[Stage, ...]]] = {
    None: (Stage.EARLY_WARNING, Stage.OPENED),
    Stage.EARLY_WARNING: (Stage.PREVENTED, Stage.OPENED),
    Stage.OPENED: (Stage.NEEDS_RESPONSE, Stage.WON, Stage.LOST, Stage.ACCEPTED),
    Stage.NEEDS_RESPONSE: (Stage.SUBMITTED, Stage.WON, Stage.LOST, Stage.ACCEPTED, Stage.EXPIRED),
    Stage.SUBMITTED: (Stage.WON, Stage.LOST),
    Stage.WON: (Stage.PRE_ARBITRATION,),
    Stage.PRE_ARBITRATION: (Stage.WON, Stage.LOST, Stage.ACCEPTED),
    Stage.LOST: (),
    Stage.PREVENTED: (),
    Stage.ACCEPTED: (),
    Stage.EXPIRED: (),
}

# On the page the player is there already: everything that a deposit can be told but waiting for the player.
ON_PAGE: Final = tuple(script for script in Script if script in ENDINGS[Kind.DEPOSIT].values())

MARK: Final = re.compile(r"\[script:([a-z_]+)\]\s*")


def chosen_by(kind: Kind, *, description: str, amount_minor: int, at_first: bool = True) -> Script:
    """Return the script that an order asks for by its description or by its amount, or what is usual.

    `at_first`: it comes to the first of the merchant's accounts, which alone is out of service at times.

    Raises ValueError for a `[script:...]` that does not exist: a misspelt test must not pass by waiting.
    """
    mark = MARK.match(description)
    if mark is not None:
        script = Script(mark[1])
        if script not in {_OTHERWISE[kind], *ENDINGS[kind].values()}:
            raise ValueError(f"there is no script {script} for a {kind}")
    else:
        script = ENDINGS[kind].get(f"{amount_minor % 100:02}", _OTHERWISE[kind])
    return _OTHERWISE[kind] if script is Script.REFUSED_HERE and not at_first else script
