"""What the document of a measurement says of how it was asked for."""

import sys

import pytest

from bench import __main__ as bench


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", ""),
        ("--quick", "--quick"),
        ("--only calls,life --seconds 3", "--only calls,life --seconds 3"),
        ("--write /somewhere/out.md", ""),
        ("--write=/somewhere/out.md", ""),
        ("--quick --write /somewhere/out.md --strict", "--quick --strict"),
        ("--quick --write=/somewhere/out.md --strict", "--quick --strict"),
        ("--write /somewhere/out.md --write /elsewhere --rounds=1", "--rounds=1"),
        ("--write=/somewhere/out.md --write /elsewhere", ""),
    ],
)
def test_where_it_was_written_is_not_told(words: str, told: str) -> None:
    assert bench._asked(words.split()) == told


def test_nor_under_a_shorter_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--wri", "/somewhere/out.md"])
    with pytest.raises(SystemExit):
        bench._arguments()
    assert "unrecognized arguments: --wri" in capsys.readouterr().err
