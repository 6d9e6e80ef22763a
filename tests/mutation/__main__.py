"""Plant faults in the pure files with mutmut, run the tests that need no database, and write the report.

`python -m tests.mutation` works on links in var/mutation; of the checkout it changes the report alone.
It fails when a file has fewer than 85 % killed, when a survivor has no reason in survivors.toml, and when a
reason has no survivor any more.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
STAGE: Final = ROOT / "var" / "mutation"
REPORT: Final = ROOT / "docs" / "mutation.md"
REASONS: Final = Path(__file__).with_name("survivors.toml")
INTRODUCTION: Final = Path(__file__).with_name("introduction.md")
LEAST_KILLED: Final = 0.85
# What is mutated, and the tests that are to notice; mutmut runs those of them that enter the function.
TESTS: Final = {
    "app/kernel/money.py": ("tests/kernel/test_money.py", "tests/kernel/test_money_edges.py"),
    "app/kernel/signing.py": (
        "tests/kernel/test_signing.py",
        "tests/kernel/test_signing_edges.py",
        "tests/kernel/test_pairs.py",
        "tests/kernel/test_injective.py",
    ),
    "app/ledger/model.py": ("tests/ledger/test_model.py",),
    "app/wallet/model.py": (
        "tests/wallet/test_model.py",
        "tests/wallet/test_model_money.py",
        "tests/wallet/test_model_belonging.py",
        "tests/wallet/test_model_ways.py",
    ),
    "app/wallet/states.py": (
        "tests/wallet/test_model_ways.py",
        "tests/wallet/test_model_rounds.py",
        "tests/wallet/test_model_free_rounds.py",
        "tests/wallet/test_model_caps.py",
    ),
    "app/wallet/floats.py": ("tests/wallet/test_model_floats.py",),
}
# pytest's exit codes, and the signals by which mutmut ends what runs too long.
FAILED: Final = frozenset({1, 3})
TOO_LONG: Final = frozenset({36, 24, -24, 152, 255})


class Mutant(NamedTuple):
    """One planted fault."""

    file: str
    name: str
    outcome: int | None

    @property
    def is_killed(self) -> bool:
        """A test failed, or waited in vain."""
        return self.outcome in FAILED | TOO_LONG

    @property
    def function(self) -> str:
        """The function or method it was planted in."""
        mangled = self.name.rpartition(".")[2].rpartition("__mutmut_")[0]
        return mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")


class Survivor(NamedTuple):
    """A fault that no test noticed: its lines before and after."""

    file: str
    function: str
    before: str
    after: str


def prepare() -> None:
    """Make the folder in which mutmut works; the checkout itself stays as it is."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    for name in ("app", "tests", "pyproject.toml"):
        (STAGE / name).symlink_to(ROOT / name)
    tests = [test for tests in TESTS.values() for test in tests]
    # The same examples every time, and one process a mutant: figures that two runs agree on.
    arguments = ["--hypothesis-seed=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
    settings: dict[str, list[str]] = {
        "source_paths": ["app"],
        "only_mutate": [*TESTS],
        "pytest_add_cli_args": arguments,
        "pytest_add_cli_args_test_selection": tests,
        "use_git_change_detection": ["false"],
        "track_dependencies": ["false"],
    }
    lines = [f"{name} = " + "\n    ".join(values) for name, values in settings.items()]
    (STAGE / "setup.cfg").write_text("\n".join(["[mutmut]", *lines, ""]))


def mutmut(*arguments: str) -> str:
    """Run mutmut in the prepared folder and return what it wrote."""
    # An address of a server makes tests/conftest.py start none; the tests chosen here ask for none.
    environ = {**os.environ, "CASHIER_TEST_POSTGRES_URL": "no database"}
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    done = subprocess.run(
        command,
        cwd=STAGE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"mutmut ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def mutants() -> Iterator[Mutant]:
    """Every planted fault and what became of it."""
    for file in TESTS:
        outcomes = json.loads((STAGE / "mutants" / f"{file}.meta").read_text())["exit_code_by_key"]
        for name, outcome in outcomes.items():
            yield Mutant(file, name, outcome)


def survivor(mutant: Mutant) -> Survivor:
    """Ask mutmut what the fault was."""
    changed = [
        line for line in mutmut("show", mutant.name).splitlines() if not line.startswith(("---", "+++"))
    ]
    before, after = (
        " ".join(line[1:].strip() for line in changed if line.startswith(sign)) for sign in ("-", "+")
    )
    return Survivor(mutant.file, mutant.function, before, after)


def reasons() -> dict[Survivor, str]:
    """Why each known survivor lives."""
    known = tomllib.loads(REASONS.read_text())["survivor"]
    return {
        Survivor(entry["file"], entry["function"], entry["before"], after): entry["reason"]
        for entry in known
        for after in entry["after"]
    }


def summary(found: list[Mutant]) -> list[str]:
    """A table: how many faults were planted in each file and how many were noticed."""
    lines = ["| file | mutants | killed | survived | killed, % |", "|---|---|---|---|---|"]
    for file in TESTS:
        mine = [mutant for mutant in found if mutant.file == file]
        killed = sum(mutant.is_killed for mutant in mine)
        lines.append(
            f"| `{file}` | {len(mine)} | {killed} | {len(mine) - killed} | {100 * killed / len(mine):.1f} |"
        )
    return lines


def code(text: str) -> str:
    """Code inside a table of Markdown."""
    return f"`{text}`".replace("|", r"\|") if text else "(nothing)"


def report(table: list[str], alive: list[Survivor], known: dict[Survivor, str]) -> str:
    """The whole of docs/mutation.md."""
    tools = ", ".join(f"{name} {version(name)}" for name in ("mutmut", "pytest", "hypothesis"))
    lines = [
        INTRODUCTION.read_text().rstrip(),
        "",
        "## Measured",
        "",
        f"By `make mutate`, with {tools}, Python {sys.version.split()[0]}.",
        "",
        *table,
        "",
        "## The survivors, and why they live",
        "",
        "| function | code | mutant | reason |",
        "|---|---|---|---|",
        *(
            f"| `{one.file.removeprefix('app/')}` {one.function} | {code(one.before)} | {code(one.after)} "
            f"| {known.get(one, '**no reason is known**')} |"
            for one in alive
        ),
        "",
    ]
    return "\n".join(lines)


def faults(found: list[Mutant], alive: list[Survivor], known: dict[Survivor, str]) -> Iterator[str]:
    """What is not as it is promised."""
    for file in TESTS:
        mine = [mutant.is_killed for mutant in found if mutant.file == file]
        if sum(mine) < LEAST_KILLED * len(mine):
            yield f"{file}: fewer than {LEAST_KILLED:.0%} of the mutants were killed"
    for one in alive:
        if one not in known:
            yield f"a survivor without a reason: {one}"
    for one in known.keys() - set(alive):
        yield f"a reason without a survivor: {one}"


def main() -> None:
    """Measure, tell, and fail where a promise is not kept."""
    workers = sys.argv[1] if len(sys.argv) > 1 else "2"
    prepare()
    mutmut("run", "--max-children", workers)
    found = list(mutants())
    alive = [survivor(mutant) for mutant in found if not mutant.is_killed]
    known = reasons()
    table = summary(found)
    REPORT.write_text(report(table, alive, known))
    sys.stdout.write("\n".join(table) + "\n")
    sys.exit("\n".join(faults(found, alive, known)) or 0)


if __name__ == "__main__":
    main()
