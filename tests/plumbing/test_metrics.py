"""Numbers that add up over processes."""

import os
import subprocess
import sys
from pathlib import Path

from app.plumbing import metrics

COUNTS = """
import sys
from app.plumbing import metrics
for _ in range(int(sys.argv[1])):
    metrics.request_answered("GET", "/a", 200, 0.02, waited_seconds=0.016)
metrics.SEAL_LAG.set(int(sys.argv[2]))
"""
RENDERS = "import sys; from app.plumbing import metrics; sys.stdout.buffer.write(metrics.rendered())"


def run(folder: Path | None, program: str, *arguments: int) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    if folder is not None:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_two_processes_are_one_sum_and_the_latest_gauge(tmp_path: Path) -> None:
    run(tmp_path, COUNTS, 3, 40)
    run(tmp_path, COUNTS, 4, 5)
    lines = run(tmp_path, RENDERS).splitlines()
    assert 'cashier_http_requests_total{method="GET",route="/a",status="200"} 7.0' in lines
    assert 'cashier_http_request_seconds_count{method="GET",route="/a"} 7.0' in lines
    assert 'cashier_http_own_seconds_bucket{le="0.005",method="GET",route="/a"} 7.0' in lines
    assert "cashier_ledger_seal_lag 5.0" in lines


def test_one_process_alone_needs_no_folder() -> None:
    text = run(None, COUNTS + RENDERS, 2, 1)
    assert 'cashier_http_requests_total{method="GET",route="/a",status="200"} 2.0' in text
    assert "process_resident_memory_bytes" in text


def test_every_number_has_a_name_of_ours_and_help() -> None:
    for line in metrics.rendered().decode().splitlines():
        if line.startswith("# HELP cashier_"):
            assert len(line.split(" ", 3)) == 4
