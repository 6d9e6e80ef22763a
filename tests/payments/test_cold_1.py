"""What nobody can mean is refused with its field: instants without a zone or a calendar, half characters."""

import time
from collections.abc import Iterator

import pytest

from tests.payments.test_api import Api, api  # noqa: F401  a fixture


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is set to another zone than UTC."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_an_instant_that_no_calendar_has_is_refused(api: Api, instant: str) -> None:  # noqa: F811
    status, seen = await api.get(api.reads, "/v1/payments", **{"created[gte]": instant})
    assert (status, seen["code"]) == (400, "malformed_field")


@pytest.mark.usefixtures("elsewhere")
async def test_an_instant_without_a_zone_is_utc_or_refused_on_every_machine(api: Api) -> None:  # noqa: F811
    """`cashier webhooks replay-events --since` says "UTC, or with its zone"; the API says nothing."""
    payment_id = await api.waiting()
    _, made = await api.get(api.reads, f"/v1/payments/{payment_id}")
    instant = made["created_at"][:19]  # without its zone; the payment was made then or up to a second later
    status, seen = await api.get(api.reads, "/v1/payments", kind="payout", **{"created[lt]": instant})
    assert status == 400 or seen["data"] == []
    status, seen = await api.get(api.reads, "/v1/payments", kind="payout", **{"created[gte]": instant})
    assert status == 400 or [one["id"] for one in seen["data"]] == [payment_id]


async def test_half_a_character_is_refused_like_a_control_character(api: Api) -> None:  # noqa: F811
    r"""JSON may hold `\ud800`; no text of the database can."""
    payment_id = await api.waiting()
    anna = await api.person("anna")
    path = f"/v1/payments/{payment_id}/cancel"
    answer = await api.http.post(
        f"{path}?site_id={api.site_id}",
        content=rb'{"reason": "half of it: \ud800"}',
        headers={
            "content-type": "application/json",
            "authorization": f"Bearer {anna}",
            "idempotency-key": "k-1",
        },
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_field")
