"""Several web processes on one port count as one."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.processes.parts import answers
from tests.processes.running import PATIENCE_SECONDS, browser, home, until

pytestmark = pytest.mark.timeout(120)
PROCESSES, ASKED = 2, 40


def _have_answered(folder: Path, parent: int) -> set[str]:
    """The web processes that have counted something."""
    counted = {path.stem.rpartition("_")[2] for path in folder.glob("cashier-metrics-*/counter_*.db")}
    return counted & {str(child.pid) for child in psutil.Process(parent).children(recursive=True)}


def test_the_numbers_of_two_web_processes_are_added_up(clone_url: str, tmp_path: Path) -> None:
    with home(CASHIER_DATABASE_URL=clone_url, TMPDIR=str(tmp_path)) as made:
        web = made.spawn("web", "--processes", str(PROCESSES))
        until(lambda: answers(made.port), "web")
        asked = 0
        while len(_have_answered(tmp_path, web.pid)) < PROCESSES:  # the kernel decides who takes a call
            with ThreadPoolExecutor(8) as crowd:
                assert all(crowd.map(answers, [made.port] * ASKED))
            asked += ASKED
        with browser() as client:
            numbers = client.get(f"http://127.0.0.1:{made.port}/metrics").text
        counted = re.search(r'requests_total\{method="GET",route="/healthz",status="200"\} (\S+)', numbers)
        assert counted is not None, numbers
        assert float(counted[1]) == asked + 1  # the first was whether they are up at all
        serving = [one for one in psutil.Process(web.pid).children() if "spawn_main" in str(one.cmdline())]
        assert len(serving) == PROCESSES
        web.send_signal(signal.SIGTERM)
        web.wait(PATIENCE_SECONDS)
        assert [one for one in serving if one.is_running()] == []
        until(lambda: not made.processes(), "Python's resource tracker ends behind its parent")
        assert list(tmp_path.glob("cashier-metrics-*")) == []
        assert "Traceback" not in made.said


def test_one_web_process_leaves_nothing_where_it_was_killed(clone_url: str, tmp_path: Path) -> None:
    with home(CASHIER_DATABASE_URL=clone_url, TMPDIR=str(tmp_path)) as made:
        web = made.spawn("web")
        until(lambda: answers(made.port), "web")
        web.kill()
        web.wait(PATIENCE_SECONDS)
        assert list(tmp_path.iterdir()) == []
