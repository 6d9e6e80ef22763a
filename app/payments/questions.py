"""Whether the provider of a try that is over is still asked about it: a success, or that there was none.

Also of one whose provider has said no while another try of the same may be paid: that no counts later.

Opened and ended try by try. What the provider of another try says, and what people decide about another,
leaves a question open; the payment knows that some try has one, and is asked about until none has, or people
are called because nobody has answered for too long.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, update
from sqlalchemy.engine import Row

from app import providers
from app.payments.legs import attempts_of
from app.payments.model import Attention, Evidence, Facts, Source, Step, Verdict
from app.payments.queries import Attempt, Payment
from app.payments.states import FINAL
from app.payments.tables import attempts
from app.plumbing.database import Built, Transaction, Write
from app.providers import State

__all__ = ["Question", "Unanswered", "given_up", "question_about", "question_at_end", "unanswered"]

_OF_TRY = (attempts.c.site_id == bindparam("of_site")) & (attempts.c.attempt_id == bindparam("of_attempt"))
_OPEN: Final = Built(update(attempts).where(_OF_TRY).values(is_questioned=True))
_END: Final = Built(update(attempts).where(_OF_TRY).values(is_questioned=False))
_OF_ALL = (attempts.c.site_id == bindparam("of_site")) & (attempts.c.payment_id == bindparam("of_payment"))
_END_ALL: Final = Built(update(attempts).where(_OF_ALL).values(is_questioned=False))
# Of an order of which somebody has said that it was paid or came back: not yet, or nowhere to be found.
_UNDECIDED: Final = frozenset({Verdict.PENDING, Verdict.NEEDS_PLAYER, Verdict.NOT_FOUND})
_UNDER_WAY: Final = frozenset({providers.State.PROCESSING, providers.State.REQUIRES_ACTION})


@dataclass(frozen=True, slots=True)
class Question:
    """What is open about one try of a payment, and about its others.

    Args:
        payment: the payment.
        attempt_id: the try.
        is_open: about this try.
        is_elsewhere: about another one.
        others: other tries of the same order that may still act.
        said_paid: other tries of it that have ever said that they were paid, and are not asked about.
        becomes: what the try's row is to say of it; None: as it does.
        writes: what the rows of other tries are to say.
    """

    payment: Payment
    attempt_id: str
    is_open: bool = False
    is_elsewhere: bool = False
    others: tuple[str, ...] = ()
    said_paid: tuple[str, ...] = ()
    becomes: bool | None = None
    writes: tuple[Write, ...] = ()

    @property
    def of_payment(self) -> bool:
        """Whether a question is open about any try of the payment."""
        return self.is_open or self.is_elsewhere

    def after(
        self, evidence: Evidence, facts: Facts, step: Step, *, before: Attempt | None = None
    ) -> tuple["Question", Step]:
        """What is open after a piece of evidence about the try, and the step, which says so where it opens.

        What nobody asked for ends no question, and neither does an answer that decides nothing. Where this
        try is credited, or people say that it was paid, the page of another may be open still.

        Args:
            evidence: what the try's provider says.
            facts: what was known of it before.
            step: what follows.
            before: the try of something that goes out, as it was: it may have been over, whether its order
                waits to be sent once more or not, and what its provider says may be new or what people know.
        """
        if step.ask_again:
            was_over = before is not None and before.is_over
            ended = was_over or facts.is_superseded or facts.sub_status in FINAL
            if not ended and self.payment.sub_status not in FINAL:
                return self, step
            return self.opened(), replace(step, attention=Attention.UNCONFIRMED)
        if before is not None and before.never_left and not self.is_open and _tells_of_it(evidence):
            # It has arrived, then: also of what is over it has a turn.
            return self.opened(), replace(step, settles=True, attention=Attention.UNCONFIRMED)
        is_news = before is not None and before.state not in _UNDER_WAY
        if is_news and step.attention is Attention.REVIVED and evidence.verdict is not Verdict.PAID:
            # It is not over, says its own provider: what becomes of it is asked, and nothing sent meanwhile.
            return self.opened(), replace(step, settles=True)
        is_answer = evidence.source >= Source.STATUS_QUERY and _decides(evidence, step)
        now_is = self._now(is_open=False) if is_answer else self
        is_settled = evidence.source is Source.SETTLEMENT and bool(step.path)
        counts = step.credit is not None or (is_settled and evidence.verdict is Verdict.PAID)
        return now_is.and_the_others() if counts else now_is, step

    def opened(self) -> "Question":
        """The same, and this try is asked about."""
        return self._now(is_open=True)

    def decided(self, *, is_paid: bool) -> "Question":
        """What is open once people have decided about the try; where it is paid another may be as well."""
        its: Write = (_END, {"of_site": self.payment.site_id, "of_attempt": self.attempt_id})
        question = replace(self._now(is_open=False), writes=(its,) if self.is_open else ())
        return question.and_the_others() if is_paid else question

    def and_the_others(self, *, who_said_paid: bool = False) -> "Question":
        """The same, and those that are under way are asked about as well: this one has their place.

        With `who_said_paid` those too that have ever said so: by this one nothing came.
        """
        asked = {str(values["of_attempt"]) for _, values in self.writes}
        tries = dict.fromkeys((*self.others, *(self.said_paid if who_said_paid else ())))
        opened: list[Write] = [
            (_OPEN, {"of_site": self.payment.site_id, "of_attempt": one}) for one in tries if one not in asked
        ]
        is_elsewhere = self.is_elsewhere or bool(opened)
        return replace(self, is_elsewhere=is_elsewhere, writes=(*self.writes, *opened))

    def _now(self, *, is_open: bool) -> "Question":
        return self if is_open is self.is_open else replace(self, is_open=is_open, becomes=is_open)


async def question_about(
    tx: Transaction, found: Payment, attempt_id: str, *, looks: bool = False
) -> Question:
    """What is open about a try of a payment, whose row is locked, and about its others.

    Args:
        tx: where to read.
        found: the payment.
        attempt_id: the try.
        looks: what other tries have said counts although none of them is asked about: people decide, or the
            payment ends, also because this try is credited.
    """
    if not found.is_questioned and not looks:
        return Question(found, attempt_id)  # nearly always: nothing is read for it
    tries = await attempts_of(tx, found)
    about = {one.attempt_id for one in tries if one.is_questioned}
    if found.is_questioned and not about:
        # A worker of the release before has opened it, which kept no tries: each of them answers for itself.
        await tx.execute(
            update(attempts)
            .where(attempts.c.site_id == found.site_id, attempts.c.payment_id == found.payment_id)
            .values(is_questioned=True)
        )
        about = {one.attempt_id for one in tries}
    is_elsewhere = bool(about - {attempt_id})
    others = _others(tries, attempt_id)
    return Question(
        found,
        attempt_id,
        attempt_id in about,
        is_elsewhere,
        others=tuple(one.attempt_id for one in others if not one.is_over),
        said_paid=tuple(one.attempt_id for one in others if one.said_paid),
    )


async def question_at_end(tx: Transaction, found: Payment) -> Question:
    """What is open once a deposit fails by the clock, or as no other account may be asked.

    Whoever has said that it was paid, or is under way, by an earlier try is asked about: it may be credited
    late.

    Args:
        tx: where to read.
        found: the deposit, its row locked.
    """
    has_others = found.present_attempt is not None
    question = await question_about(tx, found, found.present_attempt or "", looks=has_others)
    return question.and_the_others(who_said_paid=True)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What is known of the tries that a payment's providers were asked about for too long.

    Args:
        why: what to ask whom, in words for people.
        attempt_id: the try, where it is a single one.
        is_page_open: each of them has a page, and its provider says still that it waits for the player.
    """

    why: str = ""
    attempt_id: str | None = None
    is_page_open: bool = False


async def unanswered(tx: Transaction, found: Payment, *, since: datetime) -> Unanswered:
    """What is known of the tries about which a question is open.

    Args:
        tx: where to read.
        found: the payment.
        since: what a provider said before counts no more.
    """
    its = (attempts.c.site_id == found.site_id) & (attempts.c.payment_id == found.payment_id)
    asked = attempts.select().where(its, attempts.c.is_questioned).order_by(attempts.c.number)
    rows = await tx.all(asked)
    open_pages = [
        row.state == State.REQUIRES_ACTION and not row.is_over and row.answered_at > since for row in rows
    ]
    return Unanswered(
        "; ".join(_what_to_ask(row) for row in rows),
        rows[0].attempt_id if len(rows) == 1 else None,
        is_page_open=bool(rows) and all(open_pages),
    )


def _what_to_ask(row: Row[Any]) -> str:
    if row.state == State.NOT_FOUND:
        return f"{row.account} does not know the order {row.attempt_id}: ask them"
    return f"{row.account} has not said whether {row.attempt_id} is over: ask them"


def given_up(found: Payment) -> Write:
    """What ends every question about a payment: nobody has answered for too long, and people are called."""
    return _END_ALL, {"of_site": found.site_id, "of_payment": found.payment_id}


def _tells_of_it(evidence: Evidence) -> bool:
    """Whether who has the order says so, though in no word that we know."""
    is_told = evidence.provider_reference is not None or evidence.source is Source.NOTICE
    return evidence.verdict is Verdict.UNKNOWN and is_told


def _decides(evidence: Evidence, step: Step) -> bool:
    if step.path:
        return True
    if evidence.verdict in _UNDECIDED:
        return False  # also where there is a case about it
    return step.settles or step.attention is not None


def _others(tries: Sequence[Attempt], attempt_id: str) -> list[Attempt]:
    """Other tries of the order of this one that are not asked about."""
    legs = [one.leg for one in tries if one.attempt_id == attempt_id]
    others = [one for one in tries if one.attempt_id != attempt_id and one.leg in legs]
    return [one for one in others if not one.is_questioned]
