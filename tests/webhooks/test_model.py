"""When a notification is repeated, and what ends the repeats (protocol.md sections 4.1 and 15)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.webhooks.model import EVENT_SCHEDULE, ORDER_KEPT, SCHEDULE, SECRET_OVERLAP, delay_after, is_heard


def test_the_schedule_is_the_protocols() -> None:
    seconds = [delay.total_seconds() for delay in SCHEDULE]
    assert seconds == [45, 120, 300, 600, 1_800, *[3_600] * 24]
    assert delay_after(29, 0) == timedelta(hours=1)
    assert delay_after(30, 0) is None
    assert delay_after(10_000, 1) is None


def test_the_schedule_of_events_is_the_one_of_standard_webhooks() -> None:
    seconds = [delay.total_seconds() for delay in EVENT_SCHEDULE]
    assert seconds == [5, 300, 1_800, *(hours * 3_600 for hours in (2, 5, 10, 14, 20, 24))]
    assert delay_after(9, 0, EVENT_SCHEDULE) == timedelta(hours=24)
    assert delay_after(10, 0, EVENT_SCHEDULE) is None
    assert timedelta(minutes=10) == ORDER_KEPT
    assert timedelta(hours=48) == SECRET_OVERLAP


@given(st.integers(1, 29), st.floats(0, 1))
def test_jitter_is_never_early_and_at_most_a_tenth(attempts: int, chance: float) -> None:
    delay = delay_after(attempts, chance)
    assert delay is not None
    planned = SCHEDULE[attempts - 1]
    assert planned <= delay <= planned * 1.1
    assert delay_after(attempts, 0) == planned
    assert delay_after(attempts, 1) == planned * 1.1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize(
    "body", [b'{"code": 0}', b'{"code":0,"more":[1]}', b' {"code" : 0}\r\n', b'{"code": -0}']
)
def test_heard(status: int, body: bytes) -> None:
    assert is_heard(status, body)


@pytest.mark.parametrize(
    "status", [100, 199, 300, 301, 302, 307, 400, 401, 403, 404, 410, 429, 500, 502, 503]
)
def test_no_other_status_is_heard(status: int) -> None:
    assert not is_heard(status, b'{"code": 0}')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"0", b"null", b"ok", b"[]", b"{}", b'"code"', b"[0]", b'[{"code": 0}]', b"<html></html>"),
        *(b'{"code": 1}', b'{"code": 500}', b'{"code": -1}', b'{"code": "0"}', b'{"code": 0.0}'),
        *(b'{"code": 0e0}', b'{"code": false}', b'{"code": null}', b'{"code": []}', b'{"code": {}}'),
        *(b'{"Code": 0}', b'{"CODE": 0}', b'{"codes": 0}', b'{"result": "ok"}', b'{"success": true}'),
        *(
            b'{"code": 1, "code": 0}',
            b'{"code": 0, "code": 1}',
            b'{"code": 0} x',
            b'{"code": 0',
            b"\xff\xfe\x00",
        ),
        *(b'{"code": 0, "\xff": 1}', b"[" * 100_000, b'{"code": 1' + b"0" * 5_000 + b"}"),
    ],
)
def test_no_other_body_is_heard(body: bytes) -> None:
    assert not is_heard(200, body)


@given(st.binary(max_size=50), st.integers(0, 999))
def test_no_bytes_break_the_reading(body: bytes, status: int) -> None:
    assert is_heard(status, body) in {True, False}
