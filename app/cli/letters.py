"""Jobs that failed every try: what they are, and another round for them."""

import json
from datetime import datetime
from typing import Annotated

import typer

from app import staff
from app.cli.asking import done, group, out, told
from app.cli.staff import OperatorToken, actor
from app.kernel.masking import mask_text
from app.plumbing import queue
from app.plumbing.database import Transaction

__all__ = ["job"]

job = group("Jobs that failed every try and wait for a person.")


@job.command("dead")
def dead(limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100) -> None:
    """List them, newest first; why one failed is kept for a week."""
    for one in told(lambda reader, _: queue.dead_letters(reader, limit)):
        payload = json.dumps(one.payload, sort_keys=True)
        typer.echo(
            mask_text(f"{one.id}  {one.name}  after {one.tries + 1} tries  {payload}  {one.why}").rstrip()
        )


@job.command("revive")
def revive(
    numbers: Annotated[list[int], typer.Argument(help="As `dead` lists them.")],
    reason: Annotated[str, typer.Option(help="Why, for the diary.")],
    by: OperatorToken = "",
) -> None:
    """Give jobs another round of tries, once what was wrong is repaired; all of them or none."""
    staff.check_text("reason", reason)

    async def work(tx: Transaction, at: datetime) -> list[int]:
        who = await actor(tx, by)
        revived = await queue.revive(tx, numbers)
        missing = sorted(set(numbers) - set(revived))
        if missing:
            why = f"no dead job: {', '.join(map(str, missing))}. Nothing was changed."
            raise typer.BadParameter(why, param_hint="NUMBERS")
        for number in revived:
            await staff.note(
                tx,
                staff.HOUSE,
                actor=who,
                deed="job.revived",
                subject=f"job:{number}",
                detail={"reason": reason},
                at=at,
            )
        return revived

    out.print(f"{len(done(work))} revived")
