"""The import contracts of pyproject.toml name every room, and each catches what it is there to catch.

The trespasses run on a skeleton: every room that stands or is planned, empty but for one forbidden line.
"""

import itertools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.rules import ROOT, stack

CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
    "importlinter"
]["contracts"]
BY_ID = {contract["id"]: contract for contract in CONTRACTS}
FILES = {"openapi", "main", "worker", "wiring", "settings"}
FREE_INSIDE = {
    "cli",
    "kernel",
    "plumbing",
    "cashier",
    "backoffice",
    "ops",
    "demo",
}  # rooms with file names of their own
FACES = {"cashier", "backoffice", "ops"}
LINTER = Path(sys.executable).with_name("lint-imports")


def rooms_there() -> set[str]:
    """The rooms that stand today."""
    return {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}


def test_every_room_has_its_anatomy_watched() -> None:
    watched = {name.removeprefix("app.") for name in BY_ID["anatomy"]["containers"]}
    assert watched == rooms_there() - FREE_INSIDE


def test_every_face_is_kept_from_the_tables() -> None:
    watched = {name.removeprefix("app.") for name in BY_ID["faces"]["source_modules"]}
    assert watched == rooms_there() & FACES


def test_nothing_is_excused() -> None:
    excused = [contract["id"] for contract in CONTRACTS if contract.get("ignore_imports")]
    assert not excused, "ignore_imports stays empty: move the function instead"


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty house with every room of the stack, planned ones too."""
    top = tmp_path_factory.mktemp("skeleton")
    folders = [*(name for name in stack(ROOT) if name not in FILES), "providers/gateways"]
    files = [
        *(f"{name}.py" for name in {"__init__", *FILES}),
        *(f"{folder}/__init__.py" for folder in folders),
        *(f"ledger/{name}.py" for name in ("model", "queries", "operations", "routes", "jobs")),
        *("kernel/money.py", "plumbing/http.py", "plumbing/database/__init__.py", "plumbing/pipes.py"),
        *("providers/gateways/sandbox.py", "providers/gateways/other.py", "payments/model.py"),
    ]
    for name in files:
        path = top / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (top / "app/plumbing/http.py").write_text("import httpx, httpcore\n")
    (top / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return top


def broken(top: Path) -> tuple[set[str], str]:
    """The ids of the contracts that do not hold, and all that the linter said."""
    environment = os.environ | {"PYTHONPATH": str(top), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(LINTER), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, check=False)
    names = {contract["name"]: contract["id"] for contract in CONTRACTS}
    found = {names[name] for name in re.findall(r"^(.*) BROKEN", done.stdout, re.MULTILINE)}
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return found, done.stdout + done.stderr


def test_the_empty_house_stands(skeleton: Path) -> None:
    found, said = broken(skeleton)
    assert not found, said


TRESPASSES = [
    ("stack", "ledger/operations.py", "from app import payments"),
    ("stack", "payments/model.py", "from app import wallet"),
    ("stack", "providers/__init__.py", "from app import webhooks"),
    ("stack", "plumbing/database/__init__.py", "from app import merchants"),
    ("stack", "cashier/__init__.py", "from app import ops"),
    ("stack", "attic/__init__.py", ""),
    ("anatomy", "ledger/utils.py", ""),
    ("anatomy", "ledger/queries.py", "from app.ledger import operations"),
    ("anatomy", "ledger/model.py", "from app.ledger import queries"),
    ("kernel", "kernel/helpers.py", ""),
    ("plumbing", "plumbing/misc.py", ""),
    ("plumbing", "plumbing/database/__init__.py", "from app.plumbing import http"),
    ("rings", "demo/left.py", "from app.demo import right"),
    ("pure", "ledger/model.py", "import sqlalchemy"),
    ("pure", "kernel/money.py", "from app.plumbing import database"),
    ("faces", "cashier/pages.py", "import sqlalchemy"),
    ("wire-out", "providers/gateways/sandbox.py", "import httpx"),
    ("settings", "payments/model.py", "from app import settings"),
    ("routes", "ledger/operations.py", "from app.ledger import routes"),
    ("jobs", "wiring.py", "from app.ledger import jobs"),
    ("gateways", "providers/gateways/sandbox.py", "from app.providers.gateways import other"),
]


@pytest.mark.parametrize(("contract", "name", "line"), TRESPASSES)
def test_a_trespass_is_caught(contract: str, name: str, line: str, skeleton: Path) -> None:
    path = skeleton / "app" / name
    before = path.read_text() if path.exists() else None
    (skeleton / "app/demo/right.py").write_text("from app.demo import left\n")
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{line}\n")
    try:
        found, said = broken(skeleton)
    finally:
        if before is not None:
            path.write_text(before)
        else:
            path.unlink()
            if path.parent.name == "attic":
                path.parent.rmdir()
    assert contract in found, said


def test_every_contract_is_broken_once() -> None:
    assert {contract for contract, *_ in TRESPASSES} == BY_ID.keys()


def test_a_room_stands_once_in_the_stack() -> None:
    twice = [name for name, count in itertools.groupby(sorted(stack(ROOT))) if len(list(count)) > 1]
    assert not twice
