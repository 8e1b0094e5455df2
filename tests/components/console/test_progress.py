"""Progress where no bar can be drawn: a line now and then."""

import pytest

from components.console.progress import PROGRESS, Lines, progress


def test_a_line_now_and_then_says_what_is_left() -> None:
    """Continued at 400 of 1,000; 100 more take 10 s, so the 500 that are left take 50 s."""
    times = iter([5.0, 6.0, 15.0, 16.0])
    lines = Lines("maml seed 1", 1000, clock=lambda: next(times))
    assert lines.line(400, "train_loss 2") == "maml seed 1: 400 of 1,000, train_loss 2"
    assert lines.line(410, "train_loss 2") is None
    assert lines.line(500, "train_loss 1") == "maml seed 1: 500 of 1,000, about 50 s left, train_loss 1"
    assert lines.line(1000, "") == "maml seed 1: 1,000 of 1,000"


def test_redirected_output_has_no_marks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PROGRESS, raising=False)
    with progress("download", 3) as report:
        for done in (1, 2, 3):
            report(done, {"megabytes": done * 0.5})
    assert capsys.readouterr().out.splitlines() == [
        "download: 1 of 3, megabytes 0.5",
        "download: 3 of 3, megabytes 1.5",
    ]
