"""At which account a payment is tried next, in a table."""

import pytest

from app.providers import Route, next_account

# order; tried; usable; at most | the next account, or why none
TABLE = """
main                 | main        |              | 3 | ! no other account
main second          | main        | second       | 3 | second
main second third    | main        | second third | 3 | second
main second third    | main second | third        | 3 | third
main second third    | main second | third        | 2 | ! tried at 2 of at most 2 accounts
main second          | main        | second       | 1 | ! tried at 1 of at most 1 accounts
main second third    | main        | third        | 3 | third
main second third    | main        |              | 3 | ! switched off: second, third
main second          | second      | main         | 3 | main
second third         | main        | second third | 3 | second
main second          | main second |              | 3 | ! no other account
main second          | main main   | second       | 2 | second
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_which_account_is_next(line: str) -> None:
    order, tried, usable, most, wanted = (part.strip() for part in line.split("|"))
    found = next_account(order.split(), tried.split(), usable.split(), most=int(most))
    assert found == (Route(why=wanted[2:]) if wanted.startswith("! ") else Route(wanted))


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_never_the_same_account_and_never_more_than_so_many(line: str) -> None:
    order, tried, usable, most, _ = (part.strip() for part in line.split("|"))
    asked = list(dict.fromkeys(tried.split()))
    while (found := next_account(order.split(), asked, usable.split(), most=int(most))).account:
        assert found.account not in asked
        asked.append(found.account)
    assert len(asked) <= max(int(most), len(set(tried.split())))
    assert found.why
