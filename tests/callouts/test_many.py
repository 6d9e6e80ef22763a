"""A merchant who takes his time holds some of a worker's places, and not all of them."""

import asyncio

from app import callouts
from app.callouts import CalloutState
from tests.callouts import test_asking
from tests.callouts.test_asking import PAYOUT_ACCEPTED, Room
from tests.payments.peers import answering, hanging

room = test_asking.room
PLACES, IN_FLIGHT = 40, 16


async def test_questions_about_withdrawals_leave_the_workers_places_to_others(room: Room) -> None:
    room.server.manner = hanging
    asking = [asyncio.create_task(room.ask_payout()) for _ in range(PLACES)]
    over: set[asyncio.Task[callouts.Answer]] = set()
    async with asyncio.timeout(4):  # before the first deadline, which would open the breaker
        while len(over) < PLACES - IN_FLIGHT:
            over, _ = await asyncio.wait(asking, timeout=0.1)
    assert len(room.server.heard) == IN_FLIGHT
    answers = {one.result() for one in over}
    assert answers == {callouts.Answer(CalloutState.UNKNOWN, reason="no answer: peer_busy")}
    room.server.hang_up()
    await asyncio.gather(*asking)


async def test_a_merchant_who_answers_soon_is_asked_about_all_of_them(room: Room) -> None:
    accept = answering(PAYOUT_ACCEPTED)

    async def soon(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await accept(writer)

    room.server.manner = soon
    answers = await asyncio.gather(*(room.ask_payout() for _ in range(PLACES)))
    assert {one.state for one in answers} == {CalloutState.ACCEPTED}
