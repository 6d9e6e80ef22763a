"""Attack: instants that Python can write and the database cannot hold."""

import pytest

from tests.payments import test_api
from tests.payments.test_api import Api

api = test_api.api


@pytest.mark.parametrize(
    ("name", "instant"),
    [("created[gte]", "9999-12-31T23:59:59-14:00"), ("created[lt]", "0001-01-01T00:00:00+14:00")],
)
async def test_an_instant_beyond_the_calendar_is_the_callers_mistake(api: Api, name: str, instant: str) -> None:
    answer = await api.http.get(
        "/v1/payments", params={name: instant}, headers={"authorization": f"Bearer {api.reads}"}
    )
    assert answer.status_code in {200, 400, 422}, answer.text
