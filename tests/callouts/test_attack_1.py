"""Attack: a tenant names an address at another tenant's host, lets it fail, and closes the other's cashier."""

from app import callouts, merchants
from app.callouts import CalloutState
from tests.callouts import test_asking
from tests.callouts.test_asking import ACCEPTED, Room
from tests.payments.peers import answering

room = test_asking.room
TRIES = 6  # one more than opens a breaker


async def test_another_sites_broken_address_at_the_same_host_refuses_nobody_elses_deposits(room: Room) -> None:
    """Site B's callout address is a path of site A's host that answers 500; A's own path is well."""
    new = merchants.NewSite(
        name="The attacker",
        currencies=("KZT",),
        callout_url=f"{room.server.url}/something-that-fails",
        notify_url=f"{room.server.url}/something-that-fails",
    )
    async with room.pipes.database.transaction() as tx:
        created = await merchants.create_site(
            tx, new, at=room.pipes.clock.now(), allowed_private_peers=frozenset({room.server.peer})
        )
    attacker = Room(room.pipes, room.server, created)
    room.server.manner = answering(b"no such page", 500)
    for _ in range(TRIES):
        assert (await attacker.ask()).state is CalloutState.UNKNOWN
    room.server.manner = answering(ACCEPTED)
    answer: callouts.Answer = await room.ask()
    assert (answer.state, answer.reason) == (CalloutState.ACCEPTED, "")
