"""What messages may say."""

from components.console.messages import duration


def test_times_in_words() -> None:
    assert [duration(s) for s in (48.2, 192.4, 7500)] == ["48 s", "3 min 12 s", "2 h 05 min"]
