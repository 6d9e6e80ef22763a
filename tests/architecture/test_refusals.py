"""Every refusal is a sentence of its own, has a name of its own, and one HTTP status."""

import importlib
from collections import Counter
from collections.abc import Iterator

from app.kernel.errors import Refusal
from app.plumbing import web
from tests.architecture.rules import ROOT, source_files

SENTENCE_ENDS = (".", "?", "!")

for path in source_files(ROOT, "app"):
    if "Refusal)" in path.read_text():
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def refusals(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every refusal of the application, kinds of kinds too."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith("app."):
            yield kind
        yield from refusals(kind)


def test_there_are_refusals() -> None:
    assert list(refusals())


def test_every_refusal_says_a_sentence() -> None:
    silent = [kind.__name__ for kind in refusals() if not first_paragraph(kind).endswith(SENTENCE_ENDS)]
    assert not silent, f"the docstring is what people read; it ends like a sentence: {silent}"


def first_paragraph(kind: type[Refusal]) -> str:
    """What the class tells people, before its fields are filled in."""
    return (kind.__doc__ or "").strip().split("\n\n")[0].strip()


def test_every_code_names_one_refusal() -> None:
    counted = Counter(kind.code for kind in set(refusals()))
    assert not [code for code, times in counted.items() if times > 1]


def test_every_refusal_has_its_status() -> None:
    unmapped = []
    for kind in refusals():
        try:
            assert 400 <= web.status_of(kind) <= 599
        except KeyError:
            unmapped.append(f"{kind.__module__}.{kind.__name__}")
    assert not unmapped, f"give them a status in the one table of app/plumbing/web.py: {unmapped}"
