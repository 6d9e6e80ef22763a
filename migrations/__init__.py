"""The database's history: one chain of revisions, with the SQL that is better read as SQL in `sql/`."""

from pathlib import Path

from alembic import op

__all__ = ["run_script", "statements"]

_SQL = Path(__file__).parent / "sql"


def statements(name: str) -> list[str]:
    """The statements of one file of `sql/`, separated there by a line `-- ;;`."""
    return [part.strip() for part in (_SQL / name).read_text().split("-- ;;") if part.strip()]


def run_script(script: str) -> None:
    """Run many statements at once, which prepared statements cannot; inside the migration's transaction."""
    op.execute(
        "SELECT 1"
    )  # the driver begins lazily: without a statement of ours the script would commit by itself
    op.get_bind().connection.dbapi_connection.run_async(lambda connection: connection.execute(script))
