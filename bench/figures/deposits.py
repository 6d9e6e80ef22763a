"""Whole deposits with everybody who takes part, the cashier's share of their time, and notices taken in."""

import time
from collections.abc import Mapping

from bench.plan import Bench, Options
from bench.report import Figure, Verdict
from bench.till import Heard, Till, opened
from bench.wrk import BenchError, Load, Run, drive, spread

__all__ = ["deposits"]

_DEPOSITS_BAR, _NOTICES_BAR = 150, 1000  # a second
_OWN_P50_BAR_MS, _OWN_P99_BAR_MS = 20.0, 80.0
_STEPS = (2, 4, 8, 16, 32, 64)
_OF_STEPS = f"best of {', '.join(map(str, _STEPS))} connections"
_PACED_CONNECTIONS = 32
_NOTICE_CONNECTIONS = 32
_MOST_NOTICES = 10_000  # a second that are signed beforehand; a calm machine took more than 4,000
_PATIENCE_SECONDS, _POLL_SECONDS = 60.0, 0.2


def deposits(bench: Bench) -> Figure:
    """Deposits from the key to the merchant's webhook; then notices, about the same deposits."""
    figure = Figure("deposits", "Whole deposits, and notices")
    options = bench.options
    with opened(bench.world) as till:
        _completed(till, "warming up", till.deposits(8, 6))  # every connection prepares its statements
        steps = {
            count: _completed(till, f"looking for the best ({count})", till.deposits(count, options.briefly))
            for count in _STEPS
        }
        best = max(_STEPS, key=lambda count: steps[count][1])
        full = [
            _completed(till, f"deposits ({best})", till.deposits(best, options.seconds))
            for _ in range(options.rounds)
        ]
        rate = spread([completed for _, completed in full])
        at_once = [
            _completed(till, f"paid at once ({best})", till.deposits(best, options.seconds, is_at_once=True))
            for _ in range(options.rounds)
        ]
        before = till.own_seconds()
        paced = [
            _completed(
                till,
                "paid at once, at half of the rate of deposits",
                till.deposits(_PACED_CONNECTIONS, options.seconds, rate=rate.median / 2, is_at_once=True),
            )
            for _ in range(options.rounds)
        ]
        own = _difference(till.own_seconds(), before)
        notices = _notices(till, options)
        verified = [line for line in bench.world.verify(till.shop).splitlines() if line.endswith("rows")]
        heard = till.heard()
    figure.runs = [run for run, _ in (*steps.values(), *full, *at_once, *paced)] + notices
    figure.verdicts += [
        Verdict(
            "whole deposits a second",
            f"{rate.median:,.0f}/s ({rate.least:,.0f} to {rate.most:,.0f}), {best} connections",
            f">= {_DEPOSITS_BAR}/s",
            rate.median >= _DEPOSITS_BAR,
            f"a number of its own, {_OF_STEPS}: key, check_deposit, provider (it answers: pending), its"
            " notice, ledger, webhook; until the last webhook was heard",
        ),
        _of_those_paid_at_once(at_once, best),
        _own_time("p50", own, 0.50, _OWN_P50_BAR_MS, paced, rate.median / 2),
        _own_time("p99", own, 0.99, _OWN_P99_BAR_MS, paced, rate.median / 2),
        _accepted(notices),
    ]
    figure.notes += _told(steps, heard)
    figure.notes.append("\n".join(["`cashier verify --full` afterwards:", "", "```", *verified, "```"]))
    return figure


def _of_those_paid_at_once(runs: list[tuple[Run, float]], best: int) -> Verdict:
    rate = spread([completed for _, completed in runs])
    return Verdict(
        "the same where the provider answers that it is paid",
        f"{rate.median:,.0f}/s ({rate.least:,.0f} to {rate.most:,.0f}), {best} connections",
        "-",
        None,
        "it is asked once more before that counts, and its notice says what is known",
    )


def _notices(till: Till, options: Options) -> list[Run]:
    count, what = int(_MOST_NOTICES * options.seconds), f"notices ({_NOTICE_CONNECTIONS})"
    return [
        drive(what, till.notices(_NOTICE_CONNECTIONS, options.seconds, count)) for _ in range(options.rounds)
    ]


def _accepted(notices: list[Run]) -> Verdict:
    accepted = spread([run.rate for run in notices])
    return Verdict(
        "notices taken in a second",
        f"{accepted.median:,.0f}/s ({accepted.least:,.0f} to {accepted.most:,.0f})",
        f">= {_NOTICES_BAR:,}/s",
        accepted.median >= _NOTICES_BAR,
        f"a number of its own: signature verified, stored, a job written; {_NOTICE_CONNECTIONS}"
        " connections, the worker reading them meanwhile",
    )


def _completed(till: Till, what: str, load: Load) -> tuple[Run, float]:
    """Drive deposits and wait until the merchant has heard of each; returns completed deposits a second too.

    Raises:
        BenchError: the merchant was told of a failure, or not told of a deposit that he was asked about.
    """
    before, began = till.heard(), time.monotonic()
    run = drive(what, load)
    if run.errors:
        raise BenchError(f"{what}: {run.first_error}")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (
        heard := till.heard()
    ).completed < heard.asked or heard.completed - before.completed < run.answered:
        if time.monotonic() > deadline or heard.others:
            raise BenchError(f"{what}: the merchant heard {heard}")
        time.sleep(_POLL_SECONDS)
    return run, (heard.completed - before.completed) / (heard.last_at - began)


def _difference(after: Mapping[float, float], before: Mapping[float, float]) -> dict[float, float]:
    return {bound: count - before.get(bound, 0) for bound, count in after.items()}


def _own_time(
    name: str,
    own: Mapping[float, float],
    share: float,
    bar_ms: float,
    paced: list[tuple[Run, float]],
    rate: float,
) -> Verdict:
    """A percentile as its bucket's bounds: the histogram knows no more."""
    bounds = sorted(own)
    wanted = share * own[bounds[-1]]
    at = next(index for index, bound in enumerate(bounds) if own[bound] >= wanted)
    low, high = (bounds[at - 1] if at else 0.0), bounds[at]
    achieved = spread([completed for _, completed in paced]).median
    return Verdict(
        f"the cashier's own time for a deposit, {name}",
        f"{low * 1e3:,.0f} to {high * 1e3:,.0f} ms",
        f"<= {bar_ms:.0f} ms",
        high * 1e3 <= bar_ms,
        "what merchant and provider took is taken off; the provider answers that it is paid, so that the"
        f" ledger is in it; {rate:,.0f}/s offered, {achieved:,.0f}/s completed",
    )


def _told(steps: Mapping[int, tuple[Run, float]], heard: Heard) -> list[str]:
    by_step = ", ".join(f"{completed:,.0f} at {count}" for count, (_, completed) in steps.items())
    return [
        (
            "One web process, one worker, the sandbox provider with its notices on bare sockets, a merchant"
            " on bare sockets, PostgreSQL and the load generator share the machine. Of a deposit's statements"
            " two, and the queue's own, are not flushed when they are answered (decision 0031). Rates of"
            " runs count forms that were answered; the figure counts deposits of which the merchant has"
            " heard, and its time ends with the last webhook."
        ),
        f"Completed a second by connections: {by_step}.",
        (
            f"The merchant was asked about {heard.asked:,} deposits and heard of {heard.completed:,} as"
            f" completed, {heard.repeated} of them more than once, {heard.others} otherwise."
        ),
    ]
