"""At which accounts a payment may be tried next, in a table."""

import pytest

from app.providers import Route, next_account

# order; tried; usable; at most; its own account, where it was not tried | the next accounts ! why no others
TABLE = """
main              | main        |              | 3 |       | ! no other account
main second       | main        | second       | 3 |       | second
main second third | main        | second third | 3 |       | second third
main second third | main second | third        | 3 |       | third
main second third | main second | third        | 2 |       | ! tried at 2 of at most 2 accounts
main second       | main        | second       | 1 |       | ! tried at 1 of at most 1 accounts
main second third | main        | third        | 3 |       | third ! switched off: second
main second third | main        |              | 3 |       | ! switched off: second, third
main second third | main        | third        | 2 |       | ! switched off: second; behind the first 2: third
main second       | second      | main         | 3 |       | main
second third      | main        | second third | 3 |       | second third
main second       | main second |              | 3 |       | ! no other account
main second       | main main   | second       | 2 |       | second
main              |             | main         | 3 | main  | ! no other account
main second third |             | second third | 3 | main  | second third
main second third |             | second third | 2 | main  | second ! behind the first 2: third
main second third |             | second third | 1 | main  | ! behind the first 1: second, third
main third second | main        | second       | 3 | third | second
main third second | main        | second       | 2 | third | ! behind the first 2: second
main second third | second      | main third   | 1 | third | ! tried at 1 of at most 1 accounts
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_which_accounts_may_be_next(line: str) -> None:
    order, tried, usable, most, own, wanted = (part.strip() for part in line.split("|"))
    found = next_account(order.split(), tried.split(), usable.split(), most=int(most), own=own)
    accounts, _, why = wanted.partition("!")
    assert found == Route(tuple(accounts.split()), why.strip())
    assert found.account == (found.accounts or ("",))[0]


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_never_the_same_account_and_never_more_than_so_many(line: str) -> None:
    order, tried, usable, most, own, _ = (part.strip() for part in line.split("|"))
    asked = list(dict.fromkeys(tried.split()))
    while (found := next_account(order.split(), asked, usable.split(), most=int(most), own=own)).account:
        assert found.account not in {*asked, own}
        assert found.account in order.split()[: int(most)]
        asked.append(found.account)
    assert len(asked) <= max(int(most), len(set(tried.split())))
    assert found.why
