"""The golden documents: a change of the API that nobody wrote down is found."""

import json
from pathlib import Path

import pytest

from app import callouts, openapi

NAMES = {"merchant.json", "wallet.json", "callouts.json", "webhooks.json"}


def test_what_was_written_has_no_differences(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    openapi.write(folder)
    assert openapi.differences(folder) == []
    assert {file.name for file in folder.iterdir()} == NAMES
    for file in folder.iterdir():
        document = json.loads(file.read_text())
        assert document["openapi"].startswith("3.1")
        assert document.get("paths") or document.get("webhooks")


def test_a_document_that_is_missing_or_edited_is_named(tmp_path: Path) -> None:
    openapi.write(tmp_path)
    (tmp_path / "callouts.json").unlink()
    merchant = tmp_path / "merchant.json"
    merchant.write_text(merchant.read_text() + "\n")
    assert set(openapi.differences(tmp_path)) == {"callouts.json", "merchant.json"}


def test_a_changed_route_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openapi.write(tmp_path)
    monkeypatch.setattr(callouts.schemas, "describe", lambda _: None)
    assert openapi.differences(tmp_path) == ["callouts.json"]


def test_no_address_of_a_machine_is_written_down(tmp_path: Path) -> None:
    openapi.write(tmp_path)
    for file in tmp_path.iterdir():
        text = file.read_text()
        for word in ("localhost", "nobody", str(Path.cwd())):
            assert word not in text, file.name


def test_no_answer_is_described_that_a_merchant_should_not_give(tmp_path: Path) -> None:
    openapi.write(tmp_path)
    for name in ("callouts.json", "webhooks.json"):
        document = json.loads((tmp_path / name).read_text())
        for message in document["webhooks"].values():
            assert message["post"]["responses"].keys() <= {"200", "204"}, name
        assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()
