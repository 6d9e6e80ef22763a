"""A database that is too busy: the caller hears when to send the same again, and it is carried out once."""

import asyncio
from contextvars import copy_context

import httpx
from sqlalchemy import text

from tests.payments.callers import calling
from tests.payments.desk import Desk


def is_asked_to_come_again(answer: httpx.Response) -> bool:
    """Whether it says so as any refusal does, and says when."""
    body, kind = answer.json(), answer.headers["content-type"]
    told = (answer.status_code, body["code"], kind, answer.headers["retry-after"])
    return told == (503, "overloaded", "application/problem+json", "2")


async def test_a_payment_that_others_hold_is_for_the_next_time_and_its_key_is_free(desk: Desk) -> None:
    deposit = await desk.deposit()
    outside = copy_context()  # where no transaction is open
    async with calling(desk.pipes, desk.site_id) as calls:
        anna = await calls.person("anna")
        asked = (anna, f"/v1/payments/{deposit}/cases", {"reason": "odd"}, "key-1")
        async with desk.world.database.transaction() as tx:
            await tx.execute(text("SELECT FROM payment WHERE payment_id = :its FOR UPDATE"), {"its": deposit})
            told = asyncio.create_task(calls.post(*asked), context=outside)
            assert is_asked_to_come_again(await told)
        done = await calls.post(*asked)
        assert (done.status_code, done.json()["kind"]) == (200, "unresolved")
        again = await calls.post(*asked)
        assert (again.content, again.headers["idempotent-replayed"]) == (done.content, "true")
