"""The house's rules over the tables, as the code declares them: each takes the metadata and yields sentences.

They read one convention: a column of an enum's values has `app.plumbing.database.checked(column, enum)`.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "SCHEMA_RULES",
    "foreign_keys_are_indexed",
    "instants_know_their_zone",
    "keys_begin_with_the_site",
    "money_names_its_currency",
    "states_are_checked",
]

# Fixed words, written by migrations only: their rows never leave, so nothing looks for who points at them.
VOCABULARIES = {"movement"}
# Tables of the whole house. A new one is a decision.
WITHOUT_SITE = {
    "merchant": "stands above its sites",
    "operator": "may sit at the desk of several sites",
} | dict.fromkeys(VOCABULARIES, "the same words at every site")
# Unique across all sites, because it is looked up before the site is known.
UNIQUE_IN_THE_HOUSE = {
    "api_token.hash": "a request with a token names no site",
}
STATE_NAMES = re.compile(r"(.*_)?(status|state|outcome|kind|stage|result|scope|dialect)")
# Columns named like a state whose values are free text, with the reason.
FREE_STATES = {
    "claim.scope": "named by the room that claims: one word of ours for each deed",
}


def money_names_its_currency(metadata: MetaData) -> Iterator[str]:
    """`*_minor` is a BIGINT with its currency beside it: `currency`, or `target_currency` for `target_*`."""
    for table, column in _columns(metadata):
        if isinstance(column.type, Float):
            yield f"{table.name}.{column.name} is a float"
        if not column.name.endswith("_minor"):
            continue
        if not isinstance(column.type, BigInteger):
            yield f"{table.name}.{column.name} is not BIGINT"
        words = column.name.split("_")[:-1]
        beside = {"currency"} | {"_".join([*words[:count], "currency"]) for count in range(1, len(words) + 1)}
        if not beside & set(table.columns.keys()):
            yield f"{table.name}.{column.name} has no currency beside it"


def instants_know_their_zone(metadata: MetaData) -> Iterator[str]:
    """An instant is timestamptz and is called `*_at`."""
    for table, column in _columns(metadata):
        if isinstance(column.type, DateTime):
            if not column.type.timezone:
                yield f"{table.name}.{column.name} is a timestamp without time zone"
            if not column.name.endswith("_at"):
                yield f"{table.name}.{column.name} is an instant; its name ends in _at"
        elif column.name.endswith("_at"):
            yield f"{table.name}.{column.name} is called an instant and is {column.type}"


def foreign_keys_are_indexed(metadata: MetaData) -> Iterator[str]:
    """Whoever deletes or locks the row pointed at finds those who point, without reading the whole table."""
    for table in metadata.sorted_tables:
        led = [_names(key) for key in _full_keys(table)]
        for foreign in table.foreign_key_constraints:
            if foreign.referred_table.name in VOCABULARIES:
                continue
            wanted = set(_names(foreign.columns))
            if not any(set(key[: len(wanted)]) == wanted for key in led):
                yield f"{table.name}: no index begins with the foreign key ({', '.join(sorted(wanted))})"


def keys_begin_with_the_site(metadata: MetaData) -> Iterator[str]:
    """Every key of a tenant's table begins with site_id, so that the tables can be sharded by it."""
    for table in metadata.sorted_tables:
        if "site_id" not in table.columns:
            if table.name not in WITHOUT_SITE:
                yield f"{table.name} has no site_id and is not one of the tables of the whole house"
            continue
        if _names(table.primary_key.columns)[0] != "site_id":
            yield f"{table.name}: the primary key does not begin with site_id"
        yield from _keys_without_site(table)


def _keys_without_site(table: Table) -> Iterator[str]:
    for foreign in table.foreign_key_constraints:
        if "site_id" in foreign.referred_table.columns and _names(foreign.columns)[0] != "site_id":
            yield f"{table.name}: a foreign key to {foreign.referred_table.name} does not begin with site_id"
    keys: list[UniqueConstraint | Index] = [index for index in table.indexes if index.unique]
    keys += [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    for names in sorted(_names(key.columns) for key in keys):
        if names[0] != "site_id" and f"{table.name}.{'_'.join(names)}" not in UNIQUE_IN_THE_HOUSE:
            yield f"{table.name}: ({', '.join(names)}) is unique without the site"


def states_are_checked(metadata: MetaData) -> Iterator[str]:
    """A state that is not listed cannot exist: its CHECK lists the enum's values, no more and no fewer."""
    for table in metadata.sorted_tables:
        checked = {column.name for column in table.columns if _is_fixed_word(column)}
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint) and "enum" in constraint.info:
                column, values = constraint.info["column"], {value.value for value in constraint.info["enum"]}
                checked.add(column)
                if column not in table.columns:
                    yield f"{table.name} checks {column}, which it has not"
                if (listed := set(re.findall(r"'([^']*)'", str(constraint.sqltext)))) != values:
                    yield f"{table.name}.{column} and its enum differ in {sorted(listed ^ values)}"
        for column in table.columns:
            named = isinstance(column.type, Text) and STATE_NAMES.fullmatch(column.name)
            if named and column.name not in checked and f"{table.name}.{column.name}" not in FREE_STATES:
                yield f"{table.name}.{column.name} is a state without `checked(...)`"


def _is_fixed_word(column: "Column[object]") -> bool:
    """Whether the column is, or points at, the key of a vocabulary."""
    pointed = {key.column.table.name for key in column.foreign_keys}
    return bool(pointed & VOCABULARIES) or (column.primary_key and column.table.name in VOCABULARIES)


def _columns(metadata: MetaData) -> Iterator[tuple[Table, "Column[object]"]]:
    return ((table, column) for table in metadata.sorted_tables for column in table.columns)


def _full_keys(table: Table) -> "Iterator[Iterable[Column[object]]]":
    """The column lists of the primary key, the unique keys, and the indexes over all rows."""
    yield table.primary_key.columns
    yield from (
        constraint.columns for constraint in table.constraints if isinstance(constraint, UniqueConstraint)
    )
    yield from (
        index.columns for index in table.indexes if index.dialect_options["postgresql"].get("where") is None
    )


def _names(columns: "Iterable[Column[object]]") -> list[str]:
    return [column.name for column in columns]


SCHEMA_RULES: tuple[Callable[[MetaData], Iterable[str]], ...] = (
    money_names_its_currency,
    instants_know_their_zone,
    foreign_keys_are_indexed,
    keys_begin_with_the_site,
    states_are_checked,
)
