"""The figures by name, in the order in which they are measured."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bench.figures import calls, deposits, life, peers
from bench.plan import Bench
from bench.report import Figure

__all__ = ["FIGURES"]

FIGURES: Final[Mapping[str, Callable[[Bench], Figure]]] = MappingProxyType(
    {
        "check": calls.check,
        "orm": peers.orm,
        "pgbench": peers.pgbench,
        "hot": calls.hot,
        "batch": calls.batch,
        "processes": calls.processes,
        "knee": life.knee,
        "deposits": deposits.deposits,
        "memory": life.memory,
        "age": life.age,
    }
)
