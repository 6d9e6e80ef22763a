"""One signed string, one request: what makes the merchants' signature safe (trust.md F9, 3.3)."""

import re
from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.kernel import signing
from app.kernel.signing import GRAMMARS, KEY_OBTAINING, Grammar, Kind, MalformedField
from tests.kernel.examples import GOOD as GOOD_KEY
from tests.kernel.examples import GOOD_INITIATION, INITIATION, KEY, SIGNATURE

GOOD = GOOD_INITIATION | GOOD_KEY
SALT = "a salt of the site"
# What somebody writes who wants one field to be read as two, or two as one.
FRAGMENTS = [
    *(
        "a:1;b:2",
        "::1",
        ";site_id:2",
        "site_id:2",
        ";",
        ":",
        ";;",
        ":;",
        "::",
        "1:10;",
        "1:10;2",
        "1-2",
        "1:1-2;",
    ),
    *(
        ",",
        "-",
        "1",
        "10",
        "x",
        "x;",
        ";x",
        "x:",
        " ",
        "user_city",
        ";user_city:",
        "currency:USD",
        "http://a/;b:1",
    ),
    *(
        "http://a:1/",
        "2001:db8::1",
        "0",
        ";1",
        ";site_login:",
        "signature:",
        f";signature:{SIGNATURE}",
        "\n",
        "é",
    ),
]
GLUED = st.lists(st.sampled_from(FRAGMENTS), max_size=4).map("".join)


def values_of(name: str, kind: Kind, *, otherwise: str) -> st.SearchStrategy[str]:
    """Accepted values of a field: good ones, and whatever gets through of tempting ones."""
    good = GOOD.get(name, ["x", "1"])
    glued = st.tuples(st.sampled_from([*good, ""]), GLUED).map("".join)
    tempting = st.one_of(GLUED, glued, st.text(max_size=6), st.text("0123456789,-:;", max_size=12))
    return st.sampled_from(good) | tempting.map(
        lambda text: text if text and kind.accepts(text) else otherwise
    )


@st.composite
def requests(draw: st.DrawFn, which: Grammar) -> dict[str, str]:
    """Requests that the grammar accepts, in the form in which `read` returns them, without the signature."""
    names = [*which.required]
    if which.one_of:
        names.append(draw(st.sampled_from(sorted(which.one_of))))
    always = len(names)
    if which.optional:
        names += draw(st.lists(st.sampled_from(sorted(which.optional)), max_size=6, unique=True))
    kinds = which.fields()
    fields = {
        name: draw(values_of(name, kinds[name], otherwise=GOOD.get(name, ["x"])[0] if place < always else ""))
        for place, name in enumerate(names)
    }
    request = read_or_none(which, fields)
    assert request is not None, fields
    return request


def read_or_none(which: Grammar, fields: dict[str, str]) -> dict[str, str] | None:
    try:
        read = signing.read(which, {**fields, "signature": SIGNATURE}.items())
    except MalformedField:
        return None
    return {name: value for name, value in read.items() if name != "signature"}


def parse(text: str) -> dict[str, str]:
    """The inverse of `signed_string` on accepted requests: where one exists, no two share a string."""
    pairs = re.split(r";(?=[a-z])", text[:-1])
    return dict(pair.split(":", 1) for pair in pairs)


def every_cut(text: str) -> Iterator[dict[str, str]]:
    """Every way to read a string as `name:value;` pairs, whatever the grammar says of them."""
    places = [place for place, character in enumerate(text[:-1]) if character == ";"]
    for count in range(len(places) + 1):
        for chosen in combinations(places, count):
            bounds = [-1, *chosen, len(text) - 1]
            pieces = [text[start + 1 : end] for start, end in pairwise(bounds)]
            pairs = dict(piece.partition(":")[::2] for piece in pieces)
            if len(pairs) == len(pieces) and all(":" in piece for piece in pieces):
                yield pairs


@pytest.mark.parametrize("which", GRAMMARS, ids=lambda which: which.name)
@given(data=st.data())
@settings(max_examples=100)
def test_a_rendered_request_can_be_parsed_back(which: Grammar, data: st.DataObject) -> None:
    request = data.draw(requests(which))
    assert parse(signing.signed_string(request)) == request


@pytest.mark.parametrize("which", GRAMMARS, ids=lambda which: which.name)
@given(data=st.data())
@settings(max_examples=100)
def test_two_requests_never_share_a_string(which: Grammar, data: st.DataObject) -> None:
    one = data.draw(requests(which))
    other = data.draw(st.one_of(requests(which), neighbours(which, one)))
    same = signing.signed_string(one) == signing.signed_string(other)
    assert same == (one == other)
    for dialect in signing.Dialect:
        matched = signing.matches(other, signing.sign(one, SALT, dialect), [SALT], dialect)
        assert (matched == 0) == (one == other)


def neighbours(which: Grammar, request: dict[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """The same request after one field has swallowed another, moved a piece of text, or changed."""
    names = st.sampled_from(sorted(which.fields().keys() - {"signature"}))

    def changed(first: str, second: str, glue: str, cut: int) -> dict[str, str]:
        text = request.get(first, "") + glue + request.get(second, "")
        moved = {**request, first: text[:cut], second: text[cut:]}
        swallowed = {name: value for name, value in request.items() if name != second} | {first: text}
        return read_or_none(which, moved) or read_or_none(which, swallowed) or request

    return st.builds(changed, names, names, st.sampled_from(["", *FRAGMENTS]), st.integers(0, 12))


@pytest.mark.parametrize("which", GRAMMARS, ids=lambda which: which.name)
@given(data=st.data())
@settings(max_examples=100)
def test_no_other_cut_of_the_string_is_accepted(which: Grammar, data: st.DataObject) -> None:
    request = data.draw(requests(which))
    text = signing.signed_string(request)
    assume(text.count(";") <= 11)
    accepted = [cut for cut in every_cut(text) if read_or_none(which, cut) is not None]
    assert accepted == [request]
    for elsewhere in GRAMMARS:
        if elsewhere is not which:
            assert all(read_or_none(elsewhere, cut) is None for cut in every_cut(text))


# The six ambiguities of trust.md F9: each pair has one signature, and of each at most one is a request.


def signed(fields: dict[str, str]) -> str:
    return signing.sign({name: value for name, value in fields.items() if name != "signature"}, SALT)


def test_1_a_delimiter_inside_a_value() -> None:
    honest = {**KEY, "user_city": "London", "user_country": "UK"}
    forged = {**KEY, "user_city": "London;user_country:UK"}
    assert signed(honest) == signed(forged)
    assert read_or_none(KEY_OBTAINING, honest)
    with pytest.raises(MalformedField, match="user_city must be at most 128 characters without"):
        signing.read(KEY_OBTAINING, forged.items())


def test_2_an_object_against_text() -> None:
    as_object = signing.signed_string({"site_login": {"a": "1", "b": "2"}})
    assert as_object == signing.signed_string({"site_login": "a:1;b:2"})
    with pytest.raises(MalformedField, match="site_login must not be an object"):
        signing.pairs_from_json(b'{"site_login": {"a": "1", "b": "2"}}')
    with pytest.raises(MalformedField, match="site_login must be"):
        signing.read(KEY_OBTAINING, {**KEY, "site_login": "a:1;b:2"}.items())


def test_3_the_third_level_is_not_signed() -> None:
    assert signing.signed_string({"a": {"b": "1", "c": {"d": "evil"}}}) == signing.signed_string(
        {"a": {"b": "1"}}
    )
    with pytest.raises(MalformedField, match="a must not be an object"):
        signing.pairs_from_json(b'{"a": {"b": "1", "c": {"d": "evil"}}}')


def test_4_empty_fields_are_not_signed_and_change_nothing() -> None:
    assert signed({**KEY, "user_email": ""}) == signed(KEY)
    assert signing.read(KEY_OBTAINING, [*KEY.items(), ("user_email", "")]) == signing.read(
        KEY_OBTAINING, KEY.items()
    )
    with pytest.raises(MalformedField, match="extra is not known here"):
        signing.read(KEY_OBTAINING, [*KEY.items(), ("extra", "")])


def test_5_types_are_not_signed_and_all_is_text() -> None:
    assert (
        signing.sign({"site_id": 1}, SALT)
        == signing.sign({"site_id": "1"}, SALT)
        == signing.sign({"site_id": True}, SALT)
    )
    assert signing.pairs_from_json(b'{"site_id": 1}') == signing.pairs_from_json(b'{"site_id": "1"}')
    for other in (b"true", b"1.0", b"null"):
        with pytest.raises(MalformedField, match="site_id must"):
            signing.pairs_from_json(b'{"site_id": ' + other + b"}")


def test_6_the_endpoint_is_not_signed_and_requests_fit_one_only() -> None:
    obtaining = {name: value for name, value in KEY.items() if name != "signature"}
    status = {"site_id": "1", "site_login": "x", "order_id": "1"}
    initiation = {name: value for name, value in INITIATION.items() if name != "signature"}
    homes = ((obtaining, "key obtaining"), (initiation, "payout initiation"), (status, "transaction status"))
    for fields, home in homes:
        assert [which.name for which in GRAMMARS if read_or_none(which, fields) is not None] == [home]
