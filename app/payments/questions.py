"""Whether the provider of a try that is over is still asked about it: a success, or that there was none.

Opened and ended try by try. What the provider of another try says, and what people decide about another,
leaves a question open; the payment knows that some try has one, and is asked about until none has.
"""

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import bindparam, update

from app.payments.legs import attempts_of
from app.payments.model import Attention, Evidence, Facts, Source, Step
from app.payments.queries import Payment
from app.payments.states import FINAL
from app.payments.tables import attempts
from app.plumbing.database import Built, Transaction, Write

__all__ = ["Question", "question_about"]

_OF_TRY = (attempts.c.site_id == bindparam("of_site")) & (attempts.c.attempt_id == bindparam("of_attempt"))
_END: Final = Built(update(attempts).where(_OF_TRY).values(is_questioned=False))


@dataclass(frozen=True, slots=True)
class Question:
    """What is open about one try of a payment, and about its others.

    Args:
        payment: the payment.
        attempt_id: the try.
        is_open: about this try.
        is_elsewhere: about another one.
        becomes: what the try's row is to say of it; None: as it does.
    """

    payment: Payment
    attempt_id: str
    is_open: bool = False
    is_elsewhere: bool = False
    becomes: bool | None = None

    @property
    def of_payment(self) -> bool:
        """Whether a question is open about any try of the payment."""
        return self.is_open or self.is_elsewhere

    def after(self, evidence: Evidence, facts: Facts, step: Step) -> tuple["Question", Step]:
        """What is open after a piece of evidence about the try, and the step, which says so where it opens.

        What nobody asked for ends no question, and neither does an answer that decides nothing.

        Args:
            evidence: what the try's provider says.
            facts: what was known of it before.
            step: what follows.
        """
        ended = facts.is_superseded or facts.sub_status in FINAL or self.payment.sub_status in FINAL
        if step.ask_again:
            if not ended:
                return self, step
            return self._now(is_open=True), replace(step, attention=Attention.UNCONFIRMED)
        says_something = bool(step.path) or step.settles or step.attention is not None
        if evidence.source < Source.STATUS_QUERY or not says_something:
            return self, step
        return self._now(is_open=False), step

    def decided(self) -> tuple["Question", tuple[Write, ...]]:
        """What is open once people have decided about the try, and what is written with it."""
        if not self.is_open:
            return self, ()
        its = {"of_site": self.payment.site_id, "of_attempt": self.attempt_id}
        return self._now(is_open=False), ((_END, its),)

    def _now(self, *, is_open: bool) -> "Question":
        return self if is_open is self.is_open else replace(self, is_open=is_open, becomes=is_open)


async def question_about(tx: Transaction, found: Payment, attempt_id: str) -> Question:
    """What is open about a try of a payment, whose row is locked, and about its others."""
    if not found.is_questioned:
        return Question(found, attempt_id)  # nearly always: nothing is read for it
    about = {one.attempt_id for one in await attempts_of(tx, found) if one.is_questioned}
    return Question(found, attempt_id, attempt_id in about, bool(about - {attempt_id}))
