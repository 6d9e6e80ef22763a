"""Ids say what they name, sort by time, and can be made to repeat."""

import asyncio
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import ids

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BOUNDS = datetime(1970, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001  hypothesis wants them without a zone
INSTANTS = st.datetimes(*BOUNDS, timezones=st.just(UTC))


def test_an_id_is_a_prefix_and_a_uuid_of_version_7() -> None:
    made = ids.new("dep", at=AT)
    assert re.fullmatch(r"dep_[0-9a-hjkmnp-tv-z]{26}", made)
    read = ids.parse(made, "dep")
    assert read.prefix == "dep"
    assert (read.uuid.version, read.uuid.variant) == (7, "specified in RFC 4122")
    assert read.made_at == AT
    assert read.uuid.int >> 80 == int(AT.timestamp()) * 1000


def test_the_number_is_written_as_crockford_does() -> None:
    """The UUIDv7 example of RFC 9562, appendix A.6, worked out by hand in 26 groups of five bits."""
    made = "tst_01fwhe4ydgfk1shh6w1g60eecf"
    read = ids.parse(made, "tst")
    assert str(read.uuid) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    assert read.made_at.replace(microsecond=0) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@given(INSTANTS, INSTANTS)
def test_ids_sort_by_the_instant_to_the_microsecond(one: datetime, other: datetime) -> None:
    first, second = ids.new("dep", at=one), ids.new("dep", at=other)
    assert ids.parse(first, "dep").made_at == one
    if one != other:
        assert (first < second) == (one < other)


def test_neighbouring_microseconds_sort() -> None:
    made = [ids.new("dep", at=AT + timedelta(microseconds=step)) for step in range(3000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_one_instant_differ() -> None:
    assert len({ids.new("dep", at=AT) for _ in range(2000)}) == 2000


def test_the_zone_of_the_instant_does_not_matter() -> None:
    east = AT.astimezone(timezone(timedelta(hours=5)))
    assert ids.parse(ids.new("dep", at=east), "dep").made_at == AT


@pytest.mark.parametrize("prefix", ["", "d", "Dep", "dep_", "1dep", "a" * 9, "dép"])
def test_a_bad_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        ids.new(prefix, at=AT)


def test_an_instant_must_have_a_zone_and_be_after_1970() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ids.new("dep", at=AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="1970"):
        ids.new("dep", at=datetime(1969, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dep_",
        "pay_01fwhe4ydgfk1shh6w1g60eecf",  # names something else
        "dep_01FWHE4YDGFK1SHH6W1G60EECF",  # upper case
        "dep_81fwhe4ydgfk1shh6w1g60eecf",  # more than 128 bits
        "dep_01fwhe4ydgfk1shh6w1g60eecl",  # Crockford has no l
        "dep_01fwhe4ydgfk1shh6w1g60eec",
        "dep_01fwhe4ydgfk1shh6w1g60eecf\n",
        "dep_01fwhe4ydg0k1shh6w1g60eecf",  # not version 7
        "dep_7zzzzzzzzzfk1shh6w1g60eecf",  # after the end of the calendar
    ],
)
def test_only_what_new_could_have_written_is_read(text: str) -> None:
    with pytest.raises(ids.MalformedId, match="starts with dep_"):
        ids.parse(text, "dep")


def test_a_secret_is_letters_and_digits_of_one_length() -> None:
    secrets = [ids.secret() for _ in range(300)]
    assert all(re.fullmatch(r"[0-9A-Za-z]{43}", secret) for secret in secrets)
    assert len(set(secrets)) == 300
    assert len(ids.secret(24)) == 33
    with pytest.raises(ValueError, match="16 bytes"):
        ids.secret(15)


def test_seeded_chance_repeats_and_ends_with_its_block() -> None:
    def story() -> list[str]:
        with ids.seeded(random.Random(1)):
            return [ids.new("dep", at=AT), ids.secret(), ids.new("pay", at=AT)]

    assert story() == story()
    source = random.Random(1)
    with ids.seeded(source):
        ids.secret()
    drawn = source.getstate()
    ids.new("dep", at=AT)
    ids.secret()
    assert source.getstate() == drawn


async def test_seeded_chance_is_seen_by_own_tasks_only() -> None:
    async def draw() -> str:
        await asyncio.sleep(0)
        return ids.secret()

    outside = asyncio.create_task(draw())
    with ids.seeded(random.Random(2)):
        inside = await asyncio.create_task(draw())
    with ids.seeded(random.Random(2)):
        assert ids.secret() == inside
    assert await outside != inside


def test_chance_has_as_many_bits_as_were_asked_for() -> None:
    for bits in (1, 62, 63, 64, 65, 127, 128, 129, 4000):
        drawn = [ids._system.getrandbits(bits) for _ in range(40)]
        assert all(number < 1 << bits for number in drawn)
        assert max(drawn) >> bits - 1 == 1, "and the highest is among them"


def test_two_processes_do_not_draw_the_same() -> None:
    """A page of chance that was drawn before they parted is nobody's."""
    program = """
import os
from app.kernel import ids
ids.secret()
reading, writing = os.pipe()
if os.fork():
    os.wait()
    print(ids.secret(), os.read(reading, 100).decode())
else:
    os.write(writing, ids.secret().encode())
"""
    ours, theirs = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert ours != theirs
