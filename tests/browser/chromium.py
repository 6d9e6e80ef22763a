"""A real Chromium on this machine: found, or installed where that is possible without asking anybody.

`python -m tests.browser.chromium` prints the path. CASHIER_CHROMIUM names one and wins.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NoChromium", "find", "find_or_install"]

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Playwright's own downloads, newest last; the headless shell is enough for us.
PLAYWRIGHT_FOLDERS = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
PLAYWRIGHT_BROWSERS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/chrome*/*headless*shell",
)
# Without any font a page is a row of empty boxes; DejaVu has Latin, Cyrillic and the Kazakh letters.
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core")


class NoChromium(Exception):
    """No Chromium was found and none could be installed; the message says what a person can do."""


def candidates() -> Iterator[str]:
    """Every place where a Chromium may be, best first."""
    for command in COMMANDS:
        if (path := shutil.which(command)) is not None:
            yield path
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    for folder in [named] if named else PLAYWRIGHT_FOLDERS:
        for pattern in PLAYWRIGHT_BROWSERS:
            yield from sorted(map(str, Path(folder).expanduser().glob(pattern)), reverse=True)
    yield "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def answers(path: str) -> bool:
    """Whether the program starts; Ubuntu's `chromium-browser` may be a stub that asks for a snap."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def find() -> str | None:
    """The path of a Chromium that starts, or None.

    Raises:
        NoChromium: CASHIER_CHROMIUM names something that does not start.
    """
    if named := os.environ.get("CASHIER_CHROMIUM"):
        if answers(named):
            return named
        raise NoChromium(f"CASHIER_CHROMIUM names {named}, which does not start.")
    return next(filter(answers, candidates()), None)


def find_or_install() -> str:
    """The path of a Chromium that starts; Debian's is installed where there is none and we may.

    Raises:
        NoChromium: none is there and none could be installed.
    """
    if (found := find()) is not None:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        install()
        if (found := find()) is not None:
            return found
    raise NoChromium(
        "The browser tests need Chromium and none was found. Install it (Debian: apt-get install chromium; "
        "any system: .venv/bin/playwright install chromium), "
        "or name it: CASHIER_CHROMIUM=/path/to/chromium make test"
    )


def install() -> None:
    """Install Debian's Chromium; what apt-get says goes to standard error."""
    print("No Chromium found; installing Debian's with apt-get", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES]):
        subprocess.run(
            ["apt-get", "-qq", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=environment,
            check=False,
        )


if __name__ == "__main__":
    try:
        print(find_or_install())
    except NoChromium as sentence:
        sys.exit(str(sentence))
