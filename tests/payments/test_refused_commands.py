"""What the command line says where there is no such site, name, token or currency; and how tokens end."""

import pytest

from app import merchants, staff
from tests.payments.stage import Stage
from tests.staff.test_command import run, said

NOBODYS = 999_999


@pytest.mark.parametrize(
    "words",
    [
        ("wallet", "game", "add", NOBODYS, "acme", "slot", "--name", "Slot"),
        ("diary", NOBODYS),
        ("diary", NOBODYS, "--verify"),
        ("webhooks", "endpoint", "list", NOBODYS),
        ("webhooks", "attempts", NOBODYS, "whd_1"),
        ("token", "list", NOBODYS),
        ("token", "revoke", NOBODYS, "tok_1"),
        ("payout", "policy", NOBODYS, "KZT"),
    ],
    ids=lambda words: " ".join(map(str, words[:3])),
)
async def test_a_site_that_is_not_there_is_said_and_the_status_is_not_0(
    clone_url: str, words: tuple[object, ...]
) -> None:
    refused = await run(clone_url, *words)
    assert (refused.exit_code, str(refused.exception)) == (1, f"There is no site {NOBODYS}.")
    assert isinstance(refused.exception, merchants.SiteNotFound), "which the program says in one line"


async def test_the_diary_of_the_house_belongs_to_no_site(clone_url: str) -> None:
    assert (await run(clone_url, "diary", 0)).exit_code == 0
    assert (await run(clone_url, "diary", 0, "--verify")).exit_code == 0


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
async def test_a_site_has_a_name(clone_url: str, name: str) -> None:
    urls = ("--callout-url", "https://a.example.com/", "--notify-url", "https://a.example.com/")
    refused = await run(clone_url, "site", "create", "--name", name, "--currency", "KZT", *urls)
    assert refused.exit_code == 1
    assert "A site's name is what players see" in str(refused.exception)


async def test_a_policy_is_of_a_currency_that_the_site_has(stage: Stage, clone_url: str) -> None:
    refused = await run(clone_url, "payout", "policy", stage.site_id, "USD", "--cooling-seconds", 5)
    assert refused.exit_code == 1
    assert "This site does not offer USD; it offers KZT" in str(refused.exception)


async def test_who_may_not_decide_for_the_house_hears_of_no_site_0(stage: Stage, clone_url: str) -> None:
    new = staff.NewOperator("anna", "Anna", frozenset({staff.Role.FINANCE}))
    async with stage.database.transaction() as tx:
        _, token = await staff.create_operator(tx, new, at=stage.clock.now())
    words = ("payout", "policy", stage.site_id, "KZT", "--cooling-seconds", 5, "--token", token)
    refused = await run(clone_url, *words)
    assert refused.exit_code == 1
    told = str(refused.exception)
    assert told == "The operator anna may not do this: it needs the right staff_manage, at every site."


async def test_a_token_is_listed_and_revoked(stage: Stage, clone_url: str) -> None:
    token = (await said(clone_url, "token", "create", stage.site_id, "read", "--label", "shop")).strip()
    async with stage.database.reading() as reader:
        assert (await merchants.bearer(reader, token))[1] is merchants.Scope.READ
    line = (await said(clone_url, "token", "list", stage.site_id)).splitlines()[-1]
    token_id, scope, *_, label = line.split()
    assert (token_id[:4], scope, label) == ("tok_", "read", "shop")
    assert await said(clone_url, "token", "revoke", stage.site_id, token_id) == "revoked: read\n"
    async with stage.database.reading() as reader:
        with pytest.raises(merchants.NotAuthentic):
            await merchants.bearer(reader, token)
    assert "revoked 20" in (await said(clone_url, "token", "list", stage.site_id)).splitlines()[-1]
    again = await run(clone_url, "token", "revoke", stage.site_id, token_id)
    assert (again.exit_code, "or it was revoked before" in str(again.exception)) == (1, True)
