"""The forms of bodies and answers, as the API's document gives them; `schemas` and `contract` carry them out.

Amounts are whole minor units, as long as the site has not chosen major units. A caller ignores names that it
does not know: answers may get more of them.
"""

from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from app.kernel.money import MAX_MINOR
from app.wallet.terms import Code, Kind, RoundState, StuckRound, Type

__all__ = [
    "Balance",
    "Bet",
    "Betwin",
    "Create",
    "Created",
    "Deposit",
    "EffectMatrix",
    "End",
    "Ended",
    "Envelope",
    "History",
    "Info",
    "Launch",
    "Launched",
    "Matches",
    "Money",
    "Operation",
    "Purse",
    "Reconcile",
    "Reconciled",
    "Refusal",
    "Results",
    "Rollback",
    "Round",
    "Win",
    "Withdraw",
]

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=128, description="Printable characters.")]
Currency: TypeAlias = Annotated[str, Field(description="ISO 4217.")]
Paid: TypeAlias = Annotated[int, Field(ge=1, le=MAX_MINOR, description="Minor units.")]
Counted: TypeAlias = Annotated[int, Field(ge=0, le=MAX_MINOR, description="Minor units; 0 is an amount too.")]
Minor: TypeAlias = Annotated[int, Field(description="Minor units.")]
Instant: TypeAlias = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="UTC."),
]
Limit: TypeAlias = Annotated[
    Literal["max_bet", "max_transfer", "max_balance", "prepaid_float", "largest_amount", "spins"],
    Field(description="Which limit would be exceeded."),
]
Status: TypeAlias = Literal["completed", "refused", "voided"]


class Create(TypedDict):
    """A player, created or linked."""

    playerExternalId: Id
    currency: NotRequired[Annotated[str, Field(description="None: the first of the site.")]]
    country: NotRequired[Annotated[str, Field(description="ISO 3166, two letters.")]]
    language: NotRequired[Annotated[str, Field(description="RFC 5646.")]]


class Deposit(TypedDict):
    """Money into a wallet."""

    playerExternalId: Id
    currency: Currency
    amount: Paid
    transferId: NotRequired[Annotated[Id, Field(description="Else the header Idempotency-Key.")]]


class Withdraw(TypedDict):
    """Money out of a wallet: an amount, or all there is."""

    playerExternalId: Id
    currency: Currency
    amount: NotRequired[Paid]
    all: NotRequired[Annotated[bool, Field(description="Instead of an amount.")]]
    transferId: NotRequired[Annotated[Id, Field(description="Else the header Idempotency-Key.")]]


class _Play(TypedDict):
    transactionId: Id
    playerExternalId: Id
    currency: Currency
    sessionId: NotRequired[Id]
    isRoundFinished: NotRequired[Annotated[bool, Field(description="It ends its round.")]]


class Bet(_Play):
    """A stake; a free one moves no money and says 0."""

    amount: Counted
    roundId: Id
    gameCode: Id
    providerId: Id
    freeRoundId: NotRequired[Id]


class Win(_Play):
    """Money won. A jackpot, promo or free round win needs neither bet nor round."""

    amount: Counted
    providerId: Id
    referenceId: NotRequired[Annotated[Id, Field(description="The bet; of kind win it must be given.")]]
    roundId: NotRequired[Annotated[Id, Field(description="Of kind win it must be given.")]]
    gameCode: NotRequired[Annotated[Id, Field(description="Of kind win it must be given.")]]
    kind: NotRequired[Annotated[Kind, Field(description="None: win.")]]
    freeRoundId: NotRequired[Id]


class Betwin(_Play):
    """A stake and its win in one: both or neither."""

    betAmount: Counted
    winAmount: Counted
    roundId: Id
    gameCode: Id
    providerId: Id
    freeRoundId: NotRequired[Id]


class Rollback(TypedDict):
    """An operation is to be undone, whether it has come or not."""

    transactionId: Id
    referenceId: Annotated[Id, Field(description="The operation's transactionId.")]
    playerExternalId: Id
    providerId: NotRequired[Id]
    roundId: NotRequired[Id]


class Launch(TypedDict):
    """A game to be opened for a player."""

    playerExternalId: Id
    gameCode: Id
    currency: Currency
    providerId: NotRequired[Annotated[Id, Field(description="None: the catalogue says whose game it is.")]]
    language: NotRequired[str]
    returnUrl: NotRequired[Annotated[str, Field(description="Where the way out leads.")]]
    demo: NotRequired[Annotated[bool, Field(description="For fun: no session, no wallet.")]]


class End(TypedDict):
    """A session to be ended."""

    sessionId: Id


class _Item(TypedDict):
    id: Id
    amount: Counted
    currency: Currency
    winAmount: NotRequired[Annotated[Counted, Field(description="Of a bet and its win in one.")]]


Period = TypedDict("Period", {"from": str, "to": str})


class Reconcile(TypedDict):
    """The caller's book; what ours has besides it in the period is a difference too."""

    items: Annotated[list[_Item], Field(max_length=10_000)]
    period: NotRequired[Period]
    source: NotRequired[Literal["operator", "game"]]
    providerId: NotRequired[Annotated[Id, Field(description="The book is this game platform's alone.")]]


class Money(TypedDict):
    """What became of one operation."""

    transactionId: Annotated[str, Field(description="Ours.")]
    externalId: Annotated[str, Field(description="The caller's id.")]
    type: Type
    playerExternalId: str
    currency: str
    amount: Minor
    balanceBefore: Annotated[int, Field(description="Cash and bonus, before this operation alone.")]
    balanceAfter: Annotated[int, Field(description="Cash and bonus, after this operation alone.")]
    cashPart: Minor
    bonusPart: Minor
    sequence: Annotated[int, Field(description="Of the wallet, without a gap; refusals take none.")]
    applied: Annotated[bool, Field(description="It changed the wallet or its round.")]
    status: Status
    recordedAt: Instant
    duplicate: NotRequired[Annotated[bool, Field(description="Told before; nothing was done again.")]]
    final: NotRequired[Annotated[bool, Field(description="Asking again changes nothing.")]]
    balance: NotRequired[Annotated[int, Field(description="Cash and bonus now.")]]
    cash: NotRequired[Annotated[int, Field(description="Now.")]]
    bonus: NotRequired[Annotated[int, Field(description="Now.")]]
    debt: NotRequired[Annotated[int, Field(description="Owed now; only where there is a debt.")]]
    debtPart: NotRequired[
        Annotated[int, Field(description="Of a win taken back: what was gone, and is owed.")]
    ]
    transferId: NotRequired[str]
    depositAmount: NotRequired[Minor]
    withdrawAmount: NotRequired[Minor]
    betAmount: NotRequired[Minor]
    winAmount: NotRequired[Minor]
    roundId: NotRequired[str]
    referenceId: NotRequired[str]
    reversed: NotRequired[Annotated[bool, Field(description="A later operation took it back.")]]
    limit: NotRequired[Limit]
    warning: NotRequired[str]


class Refusal(TypedDict):
    """Why not, where nothing was stored."""

    final: Annotated[bool, Field(description="Asking again changes nothing.")]
    field: NotRequired[Annotated[str, Field(description="What is wrong in the request.")]]
    retryAfter: NotRequired[Annotated[int, Field(description="Seconds.")]]
    balance: NotRequired[Annotated[int, Field(description="Cash and bonus now.")]]
    limit: NotRequired[Limit]
    externalId: NotRequired[str]
    duplicate: NotRequired[bool]
    applied: NotRequired[bool]


class Envelope(TypedDict):
    """The form of every answer; `data` says more."""

    success: Annotated[bool, Field(description="The HTTP status is 200.")]
    code: Code
    message: Annotated[str, Field(description="For people; never parse it.")]
    data: dict[str, object]


class _Result(TypedDict):
    success: bool
    code: Code
    message: str
    data: Money | Refusal


class Results(TypedDict):
    """An envelope for each operation of a batch, in its order."""

    results: list[_Result]
    final: NotRequired[Annotated[bool, Field(description="Of a refused one: asking again changes nothing.")]]
    retryAfter: NotRequired[Annotated[int, Field(description="Seconds.")]]


class Operation(Money):
    """An operation of the history."""

    source: str
    code: Annotated[Code, Field(description="What was answered.")]
    requestId: str
    providerId: NotRequired[str]
    gameCode: NotRequired[str]
    sessionId: NotRequired[str]
    detail: NotRequired[str]


class Matches(Operation):
    """The newest operation with an id of the caller's, and all of them."""

    matches: list[Operation]


class History(TypedDict):
    """A page of the history."""

    transactions: list[Operation]
    nextCursor: Annotated[str | None, Field(description="None: this was the last page.")]
    resumeCursor: Annotated[str, Field(description="Where to go on later.")]
    completeUpTo: Annotated[Instant, Field(description="Nothing earlier will appear any more.")]
    limit: int
    offset: int
    count: int


class Round(TypedDict):
    """A round: its state, its sums, its operations."""

    playerExternalId: str
    roundId: str
    providerId: str
    gameCode: str
    currency: str
    state: RoundState
    isFree: bool
    bet: Minor
    win: Minor
    reversed: Minor
    net: Annotated[int, Field(description="What the player has won by it; below zero: lost.")]
    openedAt: Instant
    changedAt: Instant
    stuckAt: Annotated[Instant | None, Field(description="When an open round counts as forgotten.")]
    stuckAction: Annotated[StuckRound | None, Field(description="What is done with it then.")]
    operations: list[Operation]


class Balance(TypedDict):
    """What is in one wallet."""

    balance: Annotated[int, Field(description="Cash and bonus: what can be played with.")]
    cash: Minor
    bonus: Minor
    held: Annotated[int, Field(description="Set aside: for payouts, and wins over a cap.")]
    debt: Annotated[int, Field(description="What is owed; the next credits pay it.")]
    withdrawable: Annotated[int, Field(description="What can leave: cash that is not owed.")]
    total: Annotated[int, Field(description="With what is held.")]
    sequence: int


class Purse(Balance):
    """What is in the wallet that was asked about."""

    playerExternalId: str
    currency: str


class Info(TypedDict):
    """What a player has, by currency."""

    playerExternalId: str
    playerCode: str
    status: Literal["active", "blocked", "closed"]
    balances: dict[str, Balance]


class Created(TypedDict):
    """A player with a wallet."""

    playerCode: Annotated[str, Field(description="Our id of the player; the same for ever.")]
    playerExternalId: str
    currency: str
    created: Annotated[bool, Field(description="Now, and not before.")]
    balance: Minor


class Launched(TypedDict):
    """A session, and the address that opens it once."""

    gameUrl: str
    sessionId: Annotated[str | None, Field(description="None: for fun.")]
    expiresAt: Instant | None
    gameUrlExpiresAt: NotRequired[Instant]
    providerId: NotRequired[str]
    gameCode: str


class Ended(TypedDict):
    """A session that is over."""

    sessionId: str
    playerExternalId: str
    currency: str
    finalBalance: Minor
    endedAt: Instant
    duplicate: Annotated[bool, Field(description="It had ended before.")]


class _Here(TypedDict):
    transactionId: str
    type: Type
    amount: Minor
    currency: str
    code: Code
    winAmount: NotRequired[Annotated[Minor, Field(description="Of a bet and its win in one.")]]
    referenceId: NotRequired[Annotated[str, Field(description="The operation it is about.")]]


class _There(TypedDict):
    amount: Minor
    currency: str
    winAmount: NotRequired[Minor]


class _Difference(TypedDict):
    id: str
    difference: Annotated[
        Literal["amount", "currency", "refused_here", "missing_here", "missing_there", "made_here"],
        Field(description="made_here: the house did it by itself, gave back a bet or took back a win."),
    ]
    here: _Here | None
    there: _There | None


class Reconciled(TypedDict):
    """Where the books differ."""

    checked: int
    differences: list[_Difference]
    isComplete: Annotated[bool, Field(description="There were not more than could be told.")]


class EffectMatrix(TypedDict):
    """By what is asked about operation B, and by how B stands: what happens."""

    rows: dict[str, dict[str, str]]
