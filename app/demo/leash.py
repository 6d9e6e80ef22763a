"""Runs a module as a process of `cashier up` that leaves when the supervisor does.

`python -m app.demo.leash app.worker` holds the reading end of the supervisor's pipe as its standard input.
Whatever ends the supervisor, `kill -9` too, closes the pipe.
"""

import os
import runpy
import signal
import sys
import threading
import time

_GRACE_SECONDS = 10  # to finish what runs; then this process ends in the middle of it, as after a power cut


def main() -> None:
    """Run the module named by the first argument as if it had been started itself."""
    threading.Thread(target=_leave_with_the_supervisor, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _leave_with_the_supervisor() -> None:
    # Not sys.stdin: its lock, held by a daemon thread at the end of the process, is a fatal error of Python.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
