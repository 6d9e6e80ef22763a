"""Identity and chance are handed out here, and nowhere else.

An id is `prefix_` and 26 characters: a UUIDv7 (RFC 9562) in lower-case Crockford base 32. It says what it
names, sorts by the instant it was made at (to the microsecond: the twelve bits of `rand_a` carry it, method 3
of section 6.2), and keeps 62 random bits. `seeded` makes all of it repeatable for simulations.
"""

import math
import os
import random
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, NewType
from uuid import UUID

from typing_extensions import override

from app.kernel.errors import Refusal

__all__ = [
    "Id",
    "MalformedId",
    "PlayerId",
    "new",
    "parse",
    "secret",
    "seeded",
    "series",
]

PlayerId = NewType("PlayerId", str)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Crockford base 32 leaves out i, l, o and u, which people read as other characters.
_BASE32: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Two digits at a time: every request and every operation gets an id.
_PAIRS: Final = {
    alphabet: [first + second for first in alphabet for second in alphabet] for alphabet in (_BASE32, _BASE62)
}
_ID_LENGTH: Final = 26  # 128 bits in characters of 5 bits; so the first one is never above 7
_HALF_BITS: Final = 5 * _ID_LENGTH // 2
_PREFIX: Final = re.compile(r"[a-z][a-z0-9]{1,7}")
_ID: Final = re.compile(rf"([a-z][a-z0-9]{{1,7}})_([0-7][{_BASE32}]{{25}})")
_VERSION_7: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_SHAPE: Final = 0xF << 76 | 0b11 << 62
_RANDOM_BITS: Final = 62
_RANDOM: Final = (1 << _RANDOM_BITS) - 1
# From the second id on: each draw asks the operating system.
_DRAWN_AT_ONCE: Final = 64
_MOST_MILLISECONDS: Final = (1 << 48) - 1
_LEAST_SECRET_BYTES: Final = 16  # 128 bits cannot be guessed; fewer are an oversight

_WORD_BITS: Final = 64
_WORDS: Final = struct.Struct("128Q")


class _System(random.SystemRandom):
    """The operating system's chance, a page at a time: asking it for a few bytes takes longer than an id."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[int] = []
        # Two processes may not draw the same.
        os.register_at_fork(after_in_child=self._words.clear)

    @override
    def getrandbits(self, k: int) -> int:
        if k > 2 * _WORD_BITS:
            return super().getrandbits(k)
        number, missing = 0, k
        while missing > 0:
            try:
                word = self._words.pop()  # by one thread alone
            except IndexError:
                self._words.extend(_WORDS.unpack(os.urandom(_WORDS.size)))
                continue
            number = number << _WORD_BITS | word
            missing -= _WORD_BITS
        return number >> -missing


_source: ContextVar[random.Random | None] = ContextVar("source of chance", default=None)
_system: Final = _System()


class MalformedId(Refusal):
    """This is not an identifier that starts with {prefix}_."""


class Id(NamedTuple):
    """What an id says: what it names, its number, and when it was made (UTC, to the microsecond)."""

    prefix: str
    uuid: UUID
    made_at: datetime


def new(prefix: str, *, at: datetime) -> str:
    """Return a new id such as `dep_01jd...`; ids made at later instants sort later.

    Args:
        prefix: two to eight lower-case letters and digits that say what is named.
        at: the instant to sort by, aware of its zone.

    Raises:
        ValueError: another prefix, an instant without a zone, or one outside the years 1970 to 10889.
    """
    return next(series(prefix, at=at))


def series(prefix: str, *, at: datetime) -> Iterator[str]:
    """Return ids of one instant, one after the other, without end; cheaper than `new` for each of many.

    Arguments and errors as for `new`; errors come with the first.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("a prefix is two to eight lower-case letters and digits")
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    milliseconds, microseconds = divmod((at - _EPOCH) // _MICROSECOND, 1000)
    if not 0 <= milliseconds <= _MOST_MILLISECONDS:
        raise ValueError("a UUIDv7 knows the years 1970 to 10889")
    # Rounded up, so that reading it back (rounded down) gives the very microsecond.
    fraction = -(-microseconds * 4096 // 1000)
    number = milliseconds << 80 | _VERSION_7 | fraction << 64 | _VARIANT
    # The first half of the digits has nothing but the instant.
    same, rest = divmod(number, 1 << _HALF_BITS)
    begin = f"{prefix}_{_half(same)}"
    drawn_at_once = 1
    while True:
        drawn = _chance().getrandbits(_RANDOM_BITS * drawn_at_once)
        for _ in range(drawn_at_once):
            yield begin + _half(rest | drawn & _RANDOM)
            drawn >>= _RANDOM_BITS
        drawn_at_once = _DRAWN_AT_ONCE


def parse(text: str, prefix: str) -> Id:
    """Read an id that must start with `prefix`; only what `new` could have written is accepted.

    Raises:
        MalformedId: anything else.
    """
    found = _ID.fullmatch(text)
    if found is None or found[1] != prefix:
        raise MalformedId(prefix=prefix)
    number = 0
    for character in found[2]:
        number = number << 5 | _BASE32.index(character)
    if number & _SHAPE != _VERSION_7 | _VARIANT:
        raise MalformedId(prefix=prefix)
    microseconds = (number >> 80) * 1000 + (number >> 64 & 0xFFF) * 1000 // 4096
    try:
        made_at = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:  # Python's calendar ends with the year 9999
        raise MalformedId(prefix=prefix) from error
    return Id(prefix, UUID(int=number), made_at)


def secret(nbytes: int = 32) -> str:
    """Return `nbytes` of chance in letters and digits (base 62), always equally long: 43 for 32 bytes.

    Raises:
        ValueError: fewer than 16 bytes.
    """
    if nbytes < _LEAST_SECRET_BYTES:
        raise ValueError("a secret has at least 16 bytes")
    bits = 8 * nbytes
    length = math.ceil(bits / math.log2(len(_BASE62)))
    return _written(_chance().getrandbits(bits), _BASE62, length)


@contextmanager
def seeded(source: random.Random) -> Iterator[None]:
    """Draw ids and secrets from `source` within this block (and its tasks): the same seed, the same story.

    For simulations and tests only: what a seeded generator draws can be foreseen.
    """
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def _chance() -> random.Random:
    """Return who decides: the handed-in generator, or the operating system."""
    return _source.get() or _system


def _half(number: int) -> str:
    """The same as `_written` for half an id, in a third of the time: every operation has one."""
    two = _PAIRS[_BASE32]
    first = (
        _BASE32[number >> 60] + two[number >> 50 & 1023] + two[number >> 40 & 1023] + two[number >> 30 & 1023]
    )
    return first + two[number >> 20 & 1023] + two[number >> 10 & 1023] + two[number & 1023]


def _written(number: int, alphabet: str, length: int) -> str:
    """Write a number in the alphabet's base, padded to `length`, so that numbers and texts sort alike."""
    pairs = _PAIRS[alphabet]
    base = len(pairs)
    written = []
    for _ in range(-(-length // 2)):
        number, pair = divmod(number, base)
        written.append(pairs[pair])
    return "".join(reversed(written))[-length:]
