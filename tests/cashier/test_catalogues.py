"""Every sentence exists in every language, finished, with the same fields."""

import ast
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from app.cashier import LANGUAGES

CASHIER = Path(__file__).parents[2] / "app" / "cashier"
CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


def catalogue(language: str) -> Catalog:
    with (CASHIER / "locales" / language / "LC_MESSAGES" / "cashier.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def said_in_texts() -> set[str]:
    trees = [ast.parse(source.read_text()) for source in CASHIER.glob("*words.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    marked = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "said"]
    return {ast.literal_eval(argument) for call in marked for argument in call.args}


def said_in_templates() -> set[str]:
    found: set[str] = set()
    for template in (CASHIER / "templates").glob("*.html"):
        with template.open("rb") as file:
            for _, _, message, _ in babel_extract(file, ["_"], [], {}):
                first = message if isinstance(message, str) else (message or ("",))[0]
                found.add(first or "")  # a call with fields comes as a tuple
    return found - {""}


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"%\((\w+)\)s", text))


def test_the_extraction_sees_both_sources() -> None:
    assert {"The payment was declined", "The withdrawal was declined"} <= said_in_texts()
    assert "Pay %(amount)s" in said_in_templates()


def test_there_is_a_catalogue_for_each_language_and_no_other() -> None:
    assert {folder.name for folder in (CASHIER / "locales").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_holds_exactly_what_is_said(language: str) -> None:
    held = {message.id for message in catalogue(language) if message.id}
    assert held == said_in_texts() | said_in_templates()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_is_finished_and_keeps_the_fields(language: str) -> None:
    for message in catalogue(language):
        if not message.id:
            continue
        assert isinstance(message.id, str)
        assert isinstance(message.string, str)
        assert message.string, f"{language}: not translated: {message.id}"
        assert not message.fuzzy, f"{language}: fuzzy: {message.id}"
        assert fields(message.string) == fields(message.id), f"{language}: fields differ: {message.id}"
        assert message.string.count("%") == len(fields(message.string)), f"{language}: a bare %: {message.id}"
        assert message.string[-1:] in ".…:" or message.string[-1:].isalnum() or message.string.endswith(")")
        assert message.id.endswith(".") == message.string.endswith("."), (
            f"{language}: full stop: {message.id}"
        )


def test_english_is_the_source_and_the_others_are_not_english() -> None:
    assert all(message.id == message.string for message in catalogue("en") if message.id)
    for language in ("ru", "kk"):
        for message in catalogue(language):
            assert not message.id or CYRILLIC.search(str(message.string)), f"{language}: {message.id}"
    russian = {message.id: message.string for message in catalogue("ru")}
    same = [message.id for message in catalogue("kk") if message.id and message.string == russian[message.id]]
    assert same == []
