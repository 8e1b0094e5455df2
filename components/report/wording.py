"""Numbers in words: scores, differences and versions as the page and the terminal print them."""

from collections.abc import Sequence


def score(mean: float, ci95: float | None, metric: str) -> str:
    """ "95.31 ± 0.26 %" for an accuracy (a fraction, 0 to 1), "0.903 ± 0.160" for an error."""
    interval = "" if ci95 is None else f" ± {number(ci95, metric)}"
    return f"{number(mean, metric)}{interval}{' %' if metric == 'accuracy' else ''}"


def number(value: float, metric: str) -> str:
    """The bare number: per cent with two decimals for an accuracy, three decimals for an error."""
    return f"{100 * value:.2f}" if metric == "accuracy" else f"{value:.3f}"


def difference(mean: float, ci95: tuple[float, float] | None, metric: str) -> str:
    """ "+0.312 [+0.251, +0.373]"; accuracies differ by percentage points."""
    scale, digits, unit = (100, 2, " points") if metric == "accuracy" else (1, 3, "")
    low_high = "" if ci95 is None else f" [{', '.join(f'{scale * end:+.{digits}f}' for end in ci95)}]"
    return f"{scale * mean:+.{digits}f}{low_high}{unit}".replace("-", "\N{MINUS SIGN}")


def versions(names: Sequence[str]) -> str:
    """ "3" for one version, "3-5" for consecutive ones, "3, 5" for others, "-" for none."""
    numbers = [int(name) for name in names if name.isdecimal()]
    consecutive = len(numbers) == len(names) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{names[0]}-{names[-1]}" if consecutive else ", ".join(names) or "-"


def duration(seconds: float) -> str:
    """ "48 s", "3 min 12 s", "2 h 05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
