"""Where providers knock: authentic or 401, stored raw, counted when it comes again."""

import asyncio
import hashlib
import json

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import capture_logs

from app import providers
from app.plumbing import metrics
from app.plumbing.addresses import BadPeerAddress
from app.providers import queries
from tests.demo.servers import hmac_signed
from tests.providers.gate import BODY, SECRET, Gate


def alarms() -> float:
    return float(metrics.ALARMS.labels("notice_bad_signature")._value.get())


async def test_stored_raw_answered_and_left_to_a_job(gate: Gate) -> None:
    answer = await gate.knock(Cookie="a=b", Authorization="Basic c2VjcmV0")
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    [row] = await gate.rows()
    assert bytes(row.body) == BODY
    assert (row.account, row.state, row.arrivals) == ("main", "new", 1)
    assert (row.path, row.received_at) == (f"/notices/{gate.site_id}/main", gate.clock.now())
    assert "cookie" not in row.headers
    assert "c2VjcmV0" not in str(row.headers)
    assert row.dedupe_key == hashlib.sha256(BODY).hexdigest()
    assert await gate.jobs() == 1


async def test_the_same_bytes_again_are_counted(gate: Gate) -> None:
    for number in range(3):
        assert (await gate.knock(Age=str(number))).status_code == 200
    await gate.knock(BODY + b" ")
    assert [(row.arrivals, bytes(row.body)) for row in await gate.rows()] == [(3, BODY), (1, BODY + b" ")]
    assert await gate.jobs() == 2


async def test_a_repeat_of_what_is_unread_makes_up_for_a_lost_job(gate: Gate) -> None:
    await gate.knock()
    async with gate.database.transaction() as tx:
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
    await gate.knock()
    assert await gate.jobs() == 1
    [row] = await gate.rows()
    async with gate.database.transaction() as tx:
        await providers.close_notice(
            tx, gate.site_id, row.notice_id, providers.NoticeState.READ, at=gate.clock.now()
        )
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
    await gate.knock()
    assert await gate.jobs() == 0
    assert (await gate.rows())[0].arrivals == 3


async def test_many_at_once_are_kept_by_few_transactions(gate: Gate) -> None:
    bodies = [BODY.replace(b"ntc_1", b"ntc_%d" % number) for number in range(40)]
    answers = await asyncio.gather(
        *(gate.knock(body) for body in bodies),
        *(gate.knock(bodies[7], Age=str(number)) for number in range(9)),
        gate.knock(signature="0" * 64),
        gate.knock(path=f"/notices/{gate.site_id}/nobody"),
    )
    assert [answer.status_code for answer in answers] == [200] * 49 + [401] * 2
    rows = await gate.rows()
    assert sorted(bytes(row.body) for row in rows) == sorted(bodies)
    assert {bytes(row.body): row.arrivals for row in rows if row.arrivals > 1} == {bodies[7]: 10}
    assert await gate.jobs() == 40
    async with gate.database.reading() as reader:
        written_by = await reader.scalar(text("SELECT count(DISTINCT xmin::text) FROM notice"))
    assert written_by < 10


async def test_one_that_the_database_does_not_take_keeps_no_other_out(gate: Gate) -> None:
    intake, at = providers.Intake(gate.database), gate.clock.now()
    bodies = [BODY + b" " * number for number in range(5)]

    def notice(body: bytes, path: str) -> providers.RawNotice:
        return providers.RawNotice(path, {"x-sandbox-signature": hmac_signed(body, SECRET)}, body)

    ends = await asyncio.gather(
        *(
            intake.take(gate.site_id, "main", notice(body, "/\0" if number == 2 else "/"), at=at)
            for number, body in enumerate(bodies)
        ),
        return_exceptions=True,
    )
    assert [type(end).__name__ for end in ends if not isinstance(end, providers.NoticeReply)] == [
        "CharacterNotInRepertoireError"
    ]
    assert len(await gate.rows()) == await gate.jobs() == 4


async def test_what_is_not_the_providers_is_refused_alarmed_and_not_stored(gate: Gate) -> None:
    before = alarms()
    good = hmac_signed(BODY, SECRET)
    tries = [
        await gate.knock(signature=""),
        await gate.knock(signature="0" * 64),
        await gate.knock(signature=good.upper()),
        await gate.knock(signature=good[:-1]),
        await gate.knock(BODY + b" ", signature=good),
        await gate.knock(BODY.replace(b"pending", b"approved"), signature=good),
        await gate.client.post(f"/notices/{gate.site_id}/main", content=BODY),
        await gate.knock(path=f"/notices/{gate.site_id}/nobody"),
        await gate.knock(path=f"/notices/{gate.site_id + 1}/main"),
        await gate.knock(path="/notices/0/main"),
        await gate.knock(path="/notices/-1/main"),
        await gate.knock(path="/notices/99999999999/main"),
        await gate.knock(path=f"/notices/{gate.site_id}/ma%00in"),
        await gate.knock(path=f"/notices/{gate.site_id}/%0A"),
        await gate.knock(path=f"/notices/{gate.site_id}/open", signature=hmac_signed(BODY, "")),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in tries} == {(401, "bad_notice")}
    assert len({answer.json()["detail"] for answer in tries}) == 1
    assert alarms() == before + len(tries)
    assert await gate.rows() == []
    assert await gate.jobs() == 0


async def test_what_is_no_notice_at_all(gate: Gate) -> None:
    assert (await gate.client.get(f"/notices/{gate.site_id}/main")).status_code == 405
    assert (await gate.knock(path="/notices/x/main")).status_code == 400
    assert (await gate.knock(b" " * 70_000)).status_code == 413
    assert await gate.rows() == []


async def test_orphans_and_their_alarm(gate: Gate) -> None:
    await gate.knock()
    [row] = await gate.rows()
    counter = metrics.ALARMS.labels("notice_orphan")._value
    before = counter.get()
    async with gate.database.transaction() as tx:
        found = await providers.stored_notice(tx, gate.site_id, row.notice_id, lock=True)
        assert found is not None
        assert (found.raw.body, found.state) == (BODY, providers.NoticeState.NEW)
        state = providers.NoticeState.ORPHAN
        await providers.close_notice(
            tx, gate.site_id, row.notice_id, state, at=gate.clock.now(), reason="why"
        )
    assert counter.get() == before + 1
    async with gate.database.reading() as reader:
        assert [orphan.notice_id for orphan in await queries.orphans(reader, gate.site_id)] == [row.notice_id]
        assert await queries.orphans(reader, gate.site_id + 1) == []
        assert await providers.stored_notice(reader, gate.site_id + 1, row.notice_id) is None


async def test_accounts(gate: Gate) -> None:
    async with gate.database.transaction() as tx:
        found = await providers.account(tx, gate.site_id, "main")
        assert (found.gateway, found.credentials["secret"]) == ("sandbox", SECRET)
        assert SECRET not in repr(found)
        for base_url in (
            "http://pay.example.com",
            "https://127.0.0.1",
            "https://localhost",
            "pay.example.com",
        ):
            with pytest.raises(BadPeerAddress):
                await providers.seed_account(
                    tx, gate.site_id, "bad", gateway="sandbox", base_url=base_url, credentials={}
                )
        for site_id, name in ((gate.site_id, "bad"), (gate.site_id + 1, "main"), (2**40, "main")):
            with pytest.raises(providers.AccountNotFound):
                await providers.account(tx, site_id, name)
        # Opened again: its address and credentials are the new ones.
        await providers.seed_account(
            tx, gate.site_id, "main", gateway="sandbox", base_url="https://new.example.com", credentials={}
        )
        assert (await providers.account(tx, gate.site_id, "main")).base_url == "https://new.example.com"


CARD = "4111111111111111"


async def test_a_card_number_in_a_notice_is_masked_before_it_is_stored(gate: Gate) -> None:
    said = {"notice_id": "ntc_1", "reference": "att_1", "status": "pending"}
    written = [
        CARD,
        "4111 1111 1111 1111",
        "\u20b8 4111\u00a01111\u00a01111\u00a01111",
        f"paid with {CARD}",
        int(CARD),
    ]
    alarm = metrics.ALARMS.labels("notice_card_number")._value
    before = float(alarm.get())
    for number, pan in enumerate(written):
        body = json.dumps(
            {**said, "notice_id": f"ntc_{number}", "pan": pan, "deep": [{"x": pan}]}, ensure_ascii=False
        ).encode()
        for _ in range(2):
            assert (await gate.knock(body, **{"X-Card": CARD})).status_code == 200
    rows = await gate.rows()
    assert [row.arrivals for row in rows] == [2] * len(written)
    for row in rows:
        kept = f"{bytes(row.body).decode()} {row.headers} {row.reason}"
        assert CARD not in "".join(mark for mark in kept if mark in "0123456789")
        assert "411111...1111" in bytes(row.body).decode()
    assert [json.loads(bytes(row.body))["reference"] for row in rows[:4]] == ["att_1"] * 4
    assert float(alarm.get()) == before + 2 * len(written)


async def test_its_line_in_the_log_carries_the_id_of_its_own_request(gate: Gate) -> None:
    """Batches are begun by whoever comes first, and go on in that one's context."""
    bodies = [json.dumps({"notice_id": f"ntc_{number}", "pan": CARD}).encode() for number in range(3)]
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answers = await asyncio.gather(gate.knock(), *(gate.knock(body) for body in bodies))
    said = [line["request_id"] for line in logs if line["event"] == "notice.card_number"]
    assert sorted(said) == sorted(answer.headers["request-id"] for answer in answers[1:])
