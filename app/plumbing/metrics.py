"""Numbers for operations, right with several web processes too.

Those share a folder (`PROMETHEUS_MULTIPROC_DIR`, prometheus-client's multi-process mode) that must be in the
environment before this module is imported; the launcher sets it.
"""

import os
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    registry,
)

__all__ = [
    "ALARMS",
    "BATCHES",
    "CALLS",
    "JOBS",
    "NOTICES",
    "PAYMENTS",
    "SEAL_LAG",
    "WEBHOOKS",
    "call_ended",
    "rendered",
    "request_answered",
]

_HTTP_REQUESTS = Counter("cashier_http_requests_total", "Requests answered", ["method", "route", "status"])
_HTTP_SECONDS = Histogram("cashier_http_request_seconds", "Time to answer", ["method", "route"])
_HTTP_OWN_SECONDS = Histogram(
    "cashier_http_own_seconds",
    "Time to answer without what merchants and providers took; of requests that asked one",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1, 2),
)
CALLS = Counter("cashier_calls_total", "Outgoing calls by peer and outcome", ["peer", "outcome"])
_CALL_SECONDS = Histogram("cashier_call_seconds", "Time of outgoing calls", ["peer"])
JOBS = Counter("cashier_jobs_total", "Jobs by name and how they ended", ["job", "end"])
PAYMENTS = Counter("cashier_payments_total", "Payment status changes", ["kind", "sub_status"])
NOTICES = Counter("cashier_notices_total", "Provider notices", ["provider", "result"])
WEBHOOKS = Counter("cashier_webhook_attempts_total", "Webhook attempts", ["result"])
BATCHES = Counter(
    "cashier_wallet_batches_total",
    "Batches of the wallet: remembered, unlocked, locked, or disturbed and then locked",
    ["way"],
)
ALARMS = Counter("cashier_alarms_total", "Things a person should look at", ["kind"])
SEAL_LAG = Gauge("cashier_ledger_seal_lag", "Ledger rows not yet sealed", multiprocess_mode="mostrecent")


def request_answered(
    method: str, route: str, status: int, seconds: float, *, waited_seconds: float = 0
) -> None:
    """Count one request of the web.

    Args:
        method: of a few; a stranger's own would make a metric each.
        route: its pattern, for the same reason not its path.
        status: of the answer.
        seconds: that it took.
        waited_seconds: what merchants and providers took of that.
    """
    answered, took = _of(method, route, status)
    answered.inc()
    took.observe(seconds)
    if waited_seconds:
        _HTTP_OWN_SECONDS.labels(method, route).observe(seconds - waited_seconds)


@cache  # there are as many as there are routes and statuses; finding them anew costs more than counting
def _of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return _HTTP_REQUESTS.labels(method, route, str(status)), _HTTP_SECONDS.labels(method, route)


def call_ended(peer: str, outcome: str, seconds: float) -> None:
    """Count one outgoing call.

    Args:
        peer: whom we called; as many as are registered.
        outcome: the class of the answer's status, or how it failed.
        seconds: that it took.
    """
    ended, took = _of_peer(peer, outcome)
    ended.inc()
    took.observe(seconds)


@cache
def _of_peer(peer: str, outcome: str) -> tuple[Counter, Histogram]:
    return CALLS.labels(peer, outcome), _CALL_SECONDS.labels(peer)


def rendered() -> bytes:
    """Every number of every process of this host, in Prometheus' text form."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(registry.REGISTRY)
    collected = CollectorRegistry()
    multiprocess.MultiProcessCollector(collected)  # type: ignore[no-untyped-call]
    return generate_latest(collected)
