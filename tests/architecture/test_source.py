"""The source as it stands keeps every rule of `rules.py`."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.architecture.rules import LONGER, ROOT, RULES

by_name = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@by_name
def test_the_source_keeps(rule: Callable[[Path], Iterable[str]]) -> None:
    trespasses = list(rule(ROOT))
    assert not trespasses, "\n".join([rule.__doc__ or "", *trespasses])


def test_the_list_of_longer_things_names_only_what_is_there() -> None:
    gone = [name for name in LONGER if not (ROOT / name.split(":")[0]).exists()]
    assert not gone, f"remove from LONGER: {gone}"
