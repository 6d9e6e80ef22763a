"""A process that serves lets Python's cycle collector look at less, once everything is imported."""

import gc
from collections.abc import Coroutine

import pytest

from app import worker
from app.plumbing import collector
from app.settings import Settings


def test_it_looks_less_often_and_not_at_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("frozen"))
    monkeypatch.setattr(gc, "set_threshold", lambda *its: done.append(its[0] > gc.get_threshold()[0]))
    collector.spare_the_collector()
    assert done == ["frozen", True]


def test_a_worker_does_so_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def run(serving: Coroutine[object, object, None]) -> None:
        serving.close()
        done.append("served")

    monkeypatch.setattr(worker, "spare_the_collector", lambda: done.append("spared"))
    monkeypatch.setattr("app.worker.uvloop.run", run)
    worker.run(Settings())
    assert done == ["spared", "served"]
