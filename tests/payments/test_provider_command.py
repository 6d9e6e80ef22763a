"""A provider account of one's own, by command: opened, offered, used; its secret is nowhere to be read."""

import asyncio

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from app import cli, merchants, providers, staff
from app.kernel.errors import Refusal
from app.plumbing.addresses import BadPeerAddress
from tests.payments.desk import Desk
from tests.payments.test_deposit_command import run, said

SECRET = "s3cr\u00e9t-of-theirs"
URL = "https://pay.example.org/api"
WORDS = ("--gateway", "told", "--url", URL, "--merchant-id", "m-77")


async def typed(url: str, secret: str | bytes, *words: object, **env: str) -> Result:
    """A command with something in its standard input."""
    env = {"CASHIER_DATABASE_URL": url, "CASHIER_OPERATOR_TOKEN": "", **env}
    line = [str(word) for word in words]
    return await asyncio.to_thread(lambda: CliRunner().invoke(cli.program, line, input=secret, env=env))


async def opened(desk: Desk, clone_url: str, *more: str, secret: str = SECRET) -> Result:
    return await typed(clone_url, f"{secret}\n", "provider", "open", desk.site_id, "own", *WORDS, *more)


async def own(desk: Desk) -> providers.ProviderAccount:
    async with desk.world.database.reading() as reader:
        return await providers.account(reader, desk.site_id, "own", must_be_enabled=True)


async def diary(desk: Desk) -> list[tuple[str, str, object]]:
    rows = await desk.world.rows("SELECT * FROM diary WHERE deed LIKE 'provider%' ORDER BY recorded_at")
    return [(row.deed, row.subject, row.detail) for row in rows]


async def test_an_account_is_opened_offered_and_paid_through(desk: Desk, clone_url: str) -> None:
    done = await opened(desk, clone_url)
    assert (done.exit_code, done.stdout) == (
        0,
        f"opened; notices of it come to /notices/{desk.site_id}/own\n",
    )
    found = await own(desk)
    assert (found.gateway, found.base_url, found.page_origin) == ("told", URL, "")
    assert found.credentials == {"account": "m-77", "secret": SECRET}
    limits = ("--minimum", "600.50", "--maximum", "90000")
    shown = await said(clone_url, "site", "offer", desk.site_id, "kzt", "card", "own", *limits)
    assert shown == "card  deposit  600.50 KZT to 90000.00 KZT  own\n"
    await desk.world.deposit()
    [attempt] = await desk.world.rows("SELECT account FROM attempt")
    assert attempt.account == "own"


async def test_the_secret_is_said_nowhere(
    desk: Desk, clone_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    told = [await opened(desk, clone_url, "--page-origin", "https://pages.example.org")]
    told += [await opened(desk, clone_url)]  # taken
    renewed = f"{SECRET}-2"
    rotate = ("provider", "rotate-secret", desk.site_id)
    told += [
        await typed(clone_url, renewed, *rotate, "own"),
        await typed(clone_url, renewed, *rotate, "none"),
    ]
    told += [await typed(clone_url, f"{SECRET}\n{SECRET}", *rotate, "own")]
    told += [await run(clone_url, "provider", "list", desk.site_id)]
    told += [await run(clone_url, "diary", desk.site_id), await run(clone_url, "diary", staff.HOUSE)]
    said_of_it = "".join(f"{one.output}{one.exception!r}" for one in told) + caplog.text
    assert SECRET not in said_of_it
    assert f"own  told  {URL}  pages at https://pages.example.org  on  former secret until " in said_of_it
    assert (await own(desk)).credentials == {"account": "m-77", "secret": renewed}
    opened_as = {
        "gateway": "told",
        "base_url": URL,
        "page_origin": "https://pages.example.org",
        "merchant_id": "m-77",
    }
    (of_opening, of_rotating) = await diary(desk)
    assert of_opening == ("provider_account.opened", "provider_account:own", opened_as)
    assert of_rotating[:2] == ("provider_account.secret_rotated", "provider_account:own")


async def test_at_a_terminal_the_secret_is_asked_for_and_not_shown(
    desk: Desk, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner shows what is typed, unless the prompt hides it."""
    monkeypatch.setattr("app.cli.providers._is_typed", lambda: True)
    done = await opened(desk, clone_url)
    assert done.exit_code == 0
    assert "Secret:" in done.output
    assert SECRET not in done.output
    assert (await own(desk)).credentials["secret"] == SECRET


BAD: list[tuple[tuple[str, ...], str | bytes, type[Refusal], str]] = [
    (
        ("--gateway", "pigeon"),
        SECRET,
        providers.BadAccount,
        "pigeon is not known here; known are: sandbox, told.",
    ),
    (("--url", "http://pay.example.org"), SECRET, BadPeerAddress, "it must begin with https://"),
    (("--url", "https://127.0.0.1"), SECRET, BadPeerAddress, "a name, not an address"),
    (
        ("--page-origin", "https://pages.example.org/"),
        SECRET,
        providers.BadAccount,
        "The account's page origin must be like https://host or https://host:port.",
    ),
    (
        ("--page-origin", "https://pages.example.org:443"),
        SECRET,
        providers.BadAccount,
        "The account's page origin must leave out the port 443, as browsers do.",
    ),
    (
        ("--url", "https://pay.example.org/?a=b"),
        SECRET,
        providers.BadAccount,
        "The account's url must have no query: paths are put behind it.",
    ),
    (("--url", "https://pay.example.org?"), SECRET, providers.BadAccount, "must have no query"),
    (("--page-origin", "https://Pages.example.org"), SECRET, providers.BadAccount, "https://host:port"),
    (("--page-origin", "javascript:x"), SECRET, BadPeerAddress, "https://"),
    ((), "", providers.BadAccount, "The account's secret is empty."),
    ((), " \n", providers.BadAccount, "The account's secret is empty."),
    ((), "two\nlines", providers.BadAccount, "one line of printable characters"),
    ((), b"\xff\xfe", providers.BadAccount, "one line of printable characters"),
    ((), "x" * 4097, providers.BadAccount, "longer than 4096 characters"),
]


@pytest.mark.parametrize(("change", "secret", "refusal", "words"), BAD)
async def test_what_can_be_no_account_is_one_sentence(
    desk: Desk,
    clone_url: str,
    change: tuple[str, ...],
    secret: str | bytes,
    refusal: type[Refusal],
    words: str,
) -> None:
    failed = await typed(clone_url, secret, "provider", "open", desk.site_id, "own", *WORDS, *change)
    assert isinstance(failed.exception, refusal)
    assert words in str(failed.exception)
    assert "--" not in str(failed.exception)  # the room does not know what somebody typed
    with pytest.raises(providers.AccountNotFound):
        await own(desk)
    assert await diary(desk) == []


@pytest.mark.parametrize("name", ["", "Own", "a/b", "-own", "own ", "\u00f3wn", "x" * 65])
async def test_a_name_that_can_stand_in_no_address_is_none(desk: Desk, clone_url: str, name: str) -> None:
    failed = await typed(clone_url, SECRET, "provider", "open", *WORDS, "--", desk.site_id, name)
    assert isinstance(failed.exception, providers.BadAccount)
    rule = "must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit"
    assert str(failed.exception) == f"The account's name {rule}."


@pytest.mark.parametrize(
    "number",
    [
        "",
        "  ",
        " m-77",
        "m-77 ",
        "m\u00f3",
        "m\x00",
        "m\t7",
        "m\r7",
        "m-77\n",
        "m\x7f",
        "m\udcff",
        "m" * 129,
        "m" * 5000,
    ],
)
async def test_a_number_that_can_stand_in_no_request_is_none(desk: Desk, clone_url: str, number: str) -> None:
    failed = await opened(desk, clone_url, "--merchant-id", number)
    assert isinstance(failed.exception, providers.BadAccount)
    assert (failed.exit_code, str(failed.exception)) == (
        1,
        "The account's merchant id must be 1 to 128 printable ASCII characters without blanks around them.",
    )
    assert await diary(desk) == []


@pytest.mark.parametrize("number", ["7", "m 77", "~" * 128])
async def test_any_other_number_is_taken_as_it_is(desk: Desk, clone_url: str, number: str) -> None:
    assert (await opened(desk, clone_url, "--merchant-id", number)).exit_code == 0
    assert (await own(desk)).credentials["account"] == number


async def test_a_private_address_is_taken_where_it_is_allowed(desk: Desk, clone_url: str) -> None:
    words = ("provider", "open", desk.site_id, "own", *WORDS, "--url", "http://127.0.0.1:9000")
    peers = {"CASHIER_ALLOWED_PRIVATE_PEERS": "127.0.0.1:9000"}
    assert (await typed(clone_url, SECRET, *words, **peers)).exit_code == 0
    assert (await own(desk)).base_url == "http://127.0.0.1:9000"


async def test_pages_at_another_port_than_the_scheme_has_are_taken(desk: Desk, clone_url: str) -> None:
    for name, origin in (("own", "https://pages.example.org:8443"), ("plain", "http://127.0.0.1:443")):
        words = ("provider", "open", desk.site_id, name, *WORDS, "--page-origin", origin)
        done = await typed(
            clone_url, SECRET, *words, CASHIER_ALLOWED_PRIVATE_PEERS="127.0.0.1:443,127.0.0.1:80"
        )
        assert done.exit_code == 0
    words = ("provider", "open", desk.site_id, "third", *WORDS, "--page-origin", "http://127.0.0.1:80")
    failed = await typed(clone_url, SECRET, *words, CASHIER_ALLOWED_PRIVATE_PEERS="127.0.0.1:80")
    assert isinstance(failed.exception, providers.BadAccount)


async def test_a_name_that_is_taken_leaves_the_account_as_it_is(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url)
    failed = await opened(desk, clone_url, "--url", "https://elsewhere.example.org", secret="another")
    assert isinstance(failed.exception, providers.AccountTaken)
    assert str(failed.exception) == "This site has a provider account own already."
    assert ((await own(desk)).base_url, (await own(desk)).credentials["secret"]) == (URL, SECRET)


@pytest.mark.parametrize("words", [("open", 9, "own", *WORDS), ("rotate-secret", 9, "own"), ("list", 9)])
async def test_a_site_that_there_is_not_has_none(
    desk: Desk, clone_url: str, words: tuple[object, ...]
) -> None:
    failed = await typed(clone_url, SECRET, "provider", *words)
    assert isinstance(failed.exception, merchants.SiteNotFound)


async def test_who_may_not_opens_and_rotates_nothing(desk: Desk, clone_url: str) -> None:
    async with desk.world.database.transaction() as tx:
        _, token = await staff.create_operator(
            tx, staff.NewOperator("weak", "Weak", frozenset({staff.Role.FINANCE})), at=desk.world.clock.now()
        )
    assert isinstance((await opened(desk, clone_url, "--token", token)).exception, staff.NotPermitted)
    await opened(desk, clone_url)
    rotate = ("provider", "rotate-secret", desk.site_id, "own", "--token", token)
    assert isinstance((await typed(clone_url, "other", *rotate)).exception, staff.NotPermitted)
    assert (await own(desk)).credentials["secret"] == SECRET


async def test_another_secret_switches_nothing_on(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url)
    async with desk.world.database.transaction() as tx:
        await tx.execute(text("UPDATE provider_account SET enabled = false WHERE account = 'own'"))
    assert (await typed(clone_url, "x", "provider", "rotate-secret", desk.site_id, "own")).exit_code == 0
    listed = await said(clone_url, "provider", "list", desk.site_id)
    assert listed.splitlines()[1].startswith(f"own  told  {URL}  pages anywhere  off  former secret until ")
