"""Each rule is broken once on a scrap of a tree, and caught: a rule that catches nothing is a decoration."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from app.plumbing.database import checked
from tests.architecture import rules, schema

LONG = "def deed() -> None:\n" + "    print()\n" * 60
ROUTE = "@router.get('/x')\nasync def x() -> int:\n    '''Say.'''\n" + "    print()\n" * 16

Trespass = tuple[rules.Rule, str, str, str]
TRESPASSES: list[Trespass] = [
    (
        rules.doors_are_used,
        "app/payments/deposits.py",
        "from app.ledger import tables",
        "reaches into ledger/tables",
    ),
    (
        rules.doors_are_used,
        "app/payments/deposits.py",
        "import app.ledger.tables as t",
        "reaches into ledger/tables",
    ),
    (
        rules.doors_are_used,
        "app/payments/deposits.py",
        "from app.ledger.tables import x",
        "reaches into ledger/tables",
    ),
    (
        rules.doors_are_used,
        "app/payments/deposits.py",
        "from app import ledger\nledger.tables.x",
        "reaches into",
    ),
    (
        rules.doors_are_used,
        "app/payments/deposits.py",
        "load('app.ledger.tables')",
        "reaches into ledger/tables",
    ),
    (
        rules.doors_are_used,
        "app/wiring.py",
        "from app.providers import gateways",
        "reaches into providers/gateways",
    ),
    (
        rules.doors_keep_their_word,
        "app/payments/deposits.py",
        "from app.ledger import secret",
        "does not offer",
    ),
    (
        rules.doors_keep_their_word,
        "app/payments/deposits.py",
        "from app import ledger\nledger._x()",
        "does not offer",
    ),
    (rules.rooms_are_on_the_map, "app/attic/__init__.py", "", "app/attic is not on the map"),
    (rules.rooms_are_on_the_map, "app/__init__.py", '"""Map.\n\n    attic  old things\n"""', "names attic"),
    (
        rules.rooms_are_on_the_map,
        "app/__init__.py",
        '"""Map.\n\n    ledger    sums\n    payments  lives\n"""',
        "not in stack order",
    ),
    (rules.functions_fit, "app/ledger/operations.py", LONG, "deed has 61 lines"),
    (rules.functions_fit, "app/ledger/routes.py", ROUTE, "route x has 16 lines"),
    (rules.files_fit, "app/ledger/model.py", "#\n" * 301, "has 301 lines; at most 300"),
    (rules.files_fit, "app/ledger/queries.py", "#\n" * 401, "has 401 lines; at most 400"),
    (rules.files_fit, "app/ledger/__init__.py", "#\n" * 61, "has 61 lines; at most 60"),
    (rules.commits_are_in_one_place, "app/ledger/operations.py", "await tx.commit()", "calls .commit()"),
    (rules.commits_are_in_one_place, "app/ledger/operations.py", "engine.begin()", "calls .begin()"),
    (
        rules.commits_are_in_one_place,
        "app/ledger/operations.py",
        "tx.raw.transaction()",
        "on the raw connection",
    ),
    (
        rules.commits_are_in_one_place,
        "app/ledger/operations.py",
        "tx.execute(text('commit'))",
        "says commit in SQL",
    ),
    (
        rules.imports_are_at_the_top,
        "app/ledger/model.py",
        "def f() -> None:\n    import os\n",
        "imports inside f",
    ),
    (rules.names_say_something, "app/ledger/utils.py", "", "says nothing"),
    (rules.names_say_something, "app/services/__init__.py", "", "says nothing"),
    (rules.no_promises_in_comments, "app/ledger/model.py", "# TO" + "DO later", "says TO" + "DO"),
    (rules.money_is_not_float, "app/kernel/money.py", "HALF = 0.5", "has the float 0.5"),
    (rules.money_is_not_float, "app/ledger/model.py", "x = float('1')", "converts to float"),
    (
        rules.money_is_not_float,
        "app/payments/model.py",
        "def f(fee: float | None) -> None: ...",
        "annotated as float",
    ),
    (rules.money_is_not_float, "app/payments/model.py", "def f() -> float: ...", "returns a float"),
    (rules.money_is_not_float, "app/payments/model.py", "half = amount / 2", "divides with /"),
    (rules.tables_are_in_their_files, "app/ledger/queries.py", "t = Table('t', m)", "declares a table"),
]


@pytest.fixture
def scrap(tmp_path: Path) -> Path:
    """A checkout of three rooms in which nothing is wrong."""
    files = {
        "pyproject.toml": (rules.ROOT / "pyproject.toml").read_text(),
        "app/__init__.py": '"""Map.\n\n    wiring     opens\n    payments   lives\n    providers  move\n'
        '    ledger     sums\n    kernel     words\n"""\n',
        "app/wiring.py": "from app import ledger\nledger.post()\n",
        "app/payments/__init__.py": "",
        "app/payments/deposits.py": "from app.ledger import post\n",
        "app/providers/__init__.py": "",
        "app/providers/gateways/__init__.py": "",
        "app/ledger/__init__.py": "from app.ledger.operations import post\n\n__all__ = ['post']\n",
        "app/ledger/operations.py": "def post() -> None: ...\n",
        "app/ledger/tables.py": "",
        "app/kernel/money.py": "def wait(patience_seconds: float) -> int: ...\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_clean_tree_is_clean(rule: rules.Rule, scrap: Path) -> None:
    assert list(rule(scrap)) == []


@pytest.mark.parametrize(("rule", "name", "content", "caught"), TRESPASSES)
def test_a_trespass_is_caught(rule: rules.Rule, name: str, content: str, caught: str, scrap: Path) -> None:
    (scrap / name).parent.mkdir(parents=True, exist_ok=True)
    (scrap / name).write_text(content)
    assert caught in "\n".join(rule(scrap))


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, *_ in TRESPASSES} == set(rules.RULES)


class Colour(StrEnum):
    """Two states of an example."""

    RED = "red"
    BLUE = "blue"


def good(metadata: MetaData) -> None:
    """Two tables in which nothing is wrong."""
    Table("site", metadata, Column("site_id", Integer, primary_key=True))
    Table("movement", metadata, Column("kind", Text, primary_key=True))
    Table(
        "thing",
        metadata,
        Column("site_id", Integer, primary_key=True),
        Column("thing_id", Text, primary_key=True),
        Column("word", Text),
        Column("kind", Text),
        Column("status", Text),
        Column("amount_minor", BigInteger),
        Column("currency", Text),
        Column("target_amount_minor", BigInteger),
        Column("target_currency", Text),
        Column("created_at", DateTime(timezone=True)),
        ForeignKeyConstraint(["site_id"], ["site.site_id"]),
        ForeignKeyConstraint(["kind"], ["movement.kind"]),
        UniqueConstraint("site_id", "word"),
        checked("status", Colour),
    )


SCHEMA_TRESPASSES: list[tuple[Callable[[MetaData], Iterable[str]], list[object], str]] = [
    (schema.money_names_its_currency, [Column("fee_minor", BigInteger)], "has no currency beside it"),
    (
        schema.money_names_its_currency,
        [Column("fee_minor", Integer), Column("currency", Text)],
        "is not BIGINT",
    ),
    (schema.money_names_its_currency, [Column("rate", Float)], "is a float"),
    (schema.instants_know_their_zone, [Column("seen_at", DateTime)], "without time zone"),
    (schema.instants_know_their_zone, [Column("seen", DateTime(timezone=True))], "its name ends in _at"),
    (schema.instants_know_their_zone, [Column("seen_at", Text)], "is called an instant and is TEXT"),
    (
        schema.foreign_keys_are_indexed,
        [
            Column("thing_id", Text),
            ForeignKeyConstraint(["site_id", "thing_id"], ["thing.site_id", "thing.thing_id"]),
            Index("half", "site_id", "thing_id", postgresql_where="thing_id IS NOT NULL"),
        ],
        "no index begins with the foreign key",
    ),
    (schema.keys_begin_with_the_site, [Column("word", Text, unique=True)], "is unique without the site"),
    (
        schema.keys_begin_with_the_site,
        [Column("word", Text), Index("u", "word", unique=True)],
        "(word) is unique without",
    ),
    (
        schema.keys_begin_with_the_site,
        [Column("a", Text), ForeignKeyConstraint(["a", "site_id"], ["thing.thing_id", "thing.site_id"])],
        "a foreign key to thing does not begin with site_id",
    ),
    (schema.states_are_checked, [Column("status", Text)], "a state without"),
    (schema.states_are_checked, [checked("colour", Colour)], "checks colour, which it has not"),
]


@pytest.mark.parametrize("rule", schema.SCHEMA_RULES, ids=lambda rule: rule.__name__)
def test_clean_tables_are_clean(rule: Callable[[MetaData], Iterable[str]]) -> None:
    metadata = MetaData()
    good(metadata)
    assert list(rule(metadata)) == []


@pytest.mark.parametrize(("rule", "columns", "caught"), SCHEMA_TRESPASSES)
def test_a_bad_table_is_caught(
    rule: Callable[[MetaData], Iterable[str]], columns: list[Column[object]], caught: str
) -> None:
    metadata = MetaData()
    good(metadata)
    Table("bad", metadata, Column("site_id", Integer, primary_key=True), *columns)
    assert caught in "\n".join(rule(metadata))


def test_a_table_without_its_site_is_caught() -> None:
    metadata = MetaData()
    Table("stray", metadata, Column("stray_id", Text, primary_key=True))
    Table(
        "late",
        metadata,
        Column("late_id", Text, primary_key=True),
        Column("site_id", Integer, primary_key=True),
    )
    found = "\n".join(schema.keys_begin_with_the_site(metadata))
    assert "stray has no site_id" in found
    assert "late: the primary key does not begin with site_id" in found


def test_an_enum_that_grew_without_its_check_is_caught() -> None:
    metadata = MetaData()
    check = checked("status", Colour)
    Table("old", metadata, Column("site_id", Integer, primary_key=True), Column("status", Text), check)
    check.info["enum"] = StrEnum("Grown", {"RED": "red", "BLUE": "blue", "GREEN": "green"})
    assert "old.status and its enum differ in ['green']" in list(schema.states_are_checked(metadata))
