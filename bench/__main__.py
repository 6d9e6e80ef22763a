"""`python -m bench`: measure the figures, print them beside their bars, write docs/benchmarks.md.

Status 0: everything was measured, whether or not each bar was met (the table says so; with `--strict` a
missed bar is status 1 too). Status 1: a wrong answer, a lost operation, or a figure without a measurement.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import wrk
from bench.figures import FIGURES
from bench.plan import Bench, Options
from bench.report import Figure, facts_of, table_of_verdicts, written
from bench.world import ROOT, world
from bench.wrk import BenchError

_DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Run the bench as the command line says."""
    chosen = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    names = chosen.only.split(",") if chosen.only else list(FIGURES)
    options = _options(chosen)
    try:
        wrk.find()
        folder = _folder()
        try:
            with world(folder, options.players) as ours:
                facts = facts_of(ours)
                figures = [_measured(name, Bench(ours, options)) for name in names]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    minutes = (time.monotonic() - began) / 60
    how = f"{options.seconds:g} s a run, {options.rounds} rounds, `python -m bench {_asked(sys.argv[1:])}`"
    print("\n" + table_of_verdicts(figures))
    if chosen.write:
        text = written(
            figures,
            facts,
            how=how.replace(" `python -m bench `", " everything"),
            minutes=minutes,
            quick=options.is_quick,
        )
        chosen.write.write_text(text, encoding="utf-8")
        print(f"\nwritten: {chosen.write}")
    return _status(figures, strict=chosen.strict)


def _asked(words: list[str]) -> str:
    """How the run was asked for; where its document went is nobody's business."""
    kept, is_path = [], False
    for word in words:
        if not is_path and word != "--write" and not word.startswith("--write="):
            kept.append(word)
        is_path = word == "--write"
    return " ".join(kept)


def _arguments() -> argparse.Namespace:
    # In full only: under a shorter name the path of the document would be told in it.
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a smoke run of two minutes; no large database")
    parser.add_argument("--only", help=f"figures to measure, by commas: {', '.join(FIGURES)}")
    parser.add_argument("--fill", type=int, help="transfers of the old database (5,000,000)")
    parser.add_argument("--seconds", type=float, help="of each measured run (8)")
    parser.add_argument("--rounds", type=int, help="of each comparison (3)")
    parser.add_argument("--operations", type=int, help="through one process, for its memory (1,000,000)")
    parser.add_argument("--strict", action="store_true", help="a missed bar is a failure too")
    parser.add_argument(
        "--write", type=Path, help="where the document goes (docs/benchmarks.md; quick: nowhere)"
    )
    chosen = parser.parse_args()
    unknown = set((chosen.only or "").split(",")) - {"", *FIGURES}
    if unknown:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    # Part of the figures would erase the others from the document.
    if chosen.write is None and not chosen.quick and not chosen.only:
        chosen.write = _DOCUMENT
    return chosen


def _options(chosen: argparse.Namespace) -> Options:
    usual = (
        Options(seconds=1, rounds=1, fill=0, operations=20_000, players=400, is_quick=True)
        if chosen.quick
        else Options()
    )
    return Options(
        seconds=chosen.seconds or usual.seconds,
        rounds=chosen.rounds or usual.rounds,
        fill=usual.fill if chosen.fill is None else chosen.fill,
        operations=chosen.operations or usual.operations,
        players=usual.players,
        is_quick=usual.is_quick,
    )


def _folder() -> Path:
    """A folder on the disk of the checkout: what is temporary may be memory, where a sync costs nothing."""
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    # PostgreSQL runs as a user of its own when this one is root.
    folder.chmod(0o755)
    return folder


def _measured(name: str, bench: Bench) -> Figure:
    """Measure one figure; one that cannot be measured does not keep the others from it."""
    began = time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        figure = FIGURES[name](bench)
    # Half an hour of other figures is not thrown away for one, whatever it was.
    except Exception as error:  # noqa: BLE001
        why = str(error) if isinstance(error, BenchError) else repr(error)
        figure = Figure(name, name, failure=why)
    for line in (figure.failure, figure.first_error):
        if line:
            print(f"  {line}", file=sys.stderr)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return figure


def _status(figures: list[Figure], *, strict: bool) -> int:
    unsound = [figure.name for figure in figures if not figure.is_sound]
    if unsound:
        print(f"error: wrong answers or no measurement: {', '.join(unsound)}", file=sys.stderr)
    missed = any(verdict.met is False for figure in figures for verdict in figure.verdicts)
    return 1 if unsound or (strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
