"""What the command line says when the database leaves a deed in the air."""

import pytest

from app import cli
from app.plumbing.database import CommitUnknown, NotCommitted


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            CommitUnknown("the connection was lost at COMMIT"),
            "error: the connection was lost at COMMIT; it may have happened. Look before you run it again.\n",
        ),
        (
            NotCommitted("a statement failed and the block went on"),
            "error: a statement failed and the block went on; nothing was changed.\n",
        ),
    ],
)
def test_it_is_a_sentence(
    error: Exception,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli, "program", fails)
    # This process's log is that of the other tests.
    monkeypatch.setattr("app.cli.logs.configure", lambda *_, **__: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == sentence
