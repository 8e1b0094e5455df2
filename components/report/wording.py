"""Numbers in words: scores, differences and versions as the page and the terminal print them."""

from collections.abc import Sequence
from typing import NamedTuple

from components.report.estimates import Estimate, Lead


class Metric(NamedTuple):
    """How a metric is called and printed. unit: behind a score; apart: behind a difference of two."""

    name: str
    scale: int
    digits: int
    unit: str = ""
    apart: str = ""


METRICS = {
    "mse": Metric("mean squared error", 1, 3),
    "accuracy": Metric("accuracy", 100, 2, " %", " points"),
    "return": Metric("average return", 1, 2),
}


def score(mean: float, ci95: float | None, metric: str) -> str:
    """ "95.31 ± 0.26 %" for an accuracy (a fraction, 0 to 1), "0.903 ± 0.160" for an error; a return
    has two decimals and often a minus sign.
    """
    interval = "" if ci95 is None else f" ± {number(ci95, metric)}"
    return f"{number(mean, metric)}{interval}{METRICS[metric].unit}"


def estimated(estimate: Estimate, metric: str, steps: str = "", apart: str = " ") -> str:
    """ "0.903 ± 0.160" over tasks, with "± 0.045 over seeds" where seeds are several.

    steps: what stands behind the interval over tasks. apart: what stands before the second interval.
    """
    over_tasks = score(estimate.mean, estimate.ci95, metric) + steps
    if estimate.over_seeds is None:
        return over_tasks
    return f"{over_tasks}{apart}± {number(estimate.over_seeds, metric)} over seeds"


def estimated_difference(estimate: Estimate, metric: str) -> str:
    """ "+0.31 [+0.25, +0.37]" over tasks, with "[+0.10, +0.52] over seeds" where seeds are several."""

    def around(half: float) -> tuple[float, float]:
        return estimate.mean - half, estimate.mean + half

    over_tasks = difference(estimate.mean, around(estimate.ci95), metric)
    if estimate.over_seeds is None:
        return over_tasks
    interval = difference(estimate.mean, around(estimate.over_seeds), metric).partition(" ")[2]
    return f"{over_tasks}, {interval.removesuffix(METRICS[metric].apart)} over seeds"


def ahead(algorithm: str, lead: Lead, metric: str) -> str:
    """ "meta-sgd is ahead of maml by 0.22 [0.10, 0.34] over 5 seeds", or not, where that holds zero."""
    difference, half = lead.difference.mean, lead.difference.over_seeds or 0.0
    mean, low, high = (number(value, metric) for value in (difference, difference - half, difference + half))
    unit = METRICS[metric].apart
    if abs(difference) <= half:
        verdict = f"{algorithm} and {lead.other} differ by no more than chance:"
    elif difference > 0:
        verdict = f"{algorithm} is ahead of {lead.other} by"
    else:
        verdict = f"{algorithm} is behind {lead.other}:"
    return f"{verdict} {mean} [{low}, {high}]{unit} over {lead.seeds} seeds"


def number(value: float, metric: str) -> str:
    """The bare number: per cent with two decimals for an accuracy, three decimals for an error."""
    printed = METRICS[metric]
    return signed(f"{printed.scale * value:.{printed.digits}f}")


def difference(mean: float, ci95: tuple[float, float] | None, metric: str) -> str:
    """ "+0.312 [+0.251, +0.373]"; accuracies differ by percentage points."""
    printed = METRICS[metric]

    def text(value: float) -> str:
        return signed(f"{printed.scale * value:+.{printed.digits}f}")

    low_high = "" if ci95 is None else f" [{', '.join(map(text, ci95))}]"
    return f"{text(mean)}{low_high}{printed.apart}"


def signed(number: str) -> str:
    """With a minus sign in place of a hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")


def measure(metric: str, shots: int) -> str:
    """What the rows of an experiment hold: "5-shot accuracy"."""
    name = METRICS[metric].name
    return f"{name}, {trials(metric, shots)}" if metric == "return" else f"{shots}-shot {name}"


def trials(metric: str, shots: int) -> str:
    """What a task gives to adapt on: "1 example of every class", "20 trajectories"."""
    if metric == "return":
        return f"{shots} {'trajectory' if shots == 1 else 'trajectories'}"
    return f"{shots} example{'' if shots == 1 else 's'}{' of every class' if metric == 'accuracy' else ''}"


def versions(names: Sequence[str]) -> str:
    """ "3" for one version, "3-5" for consecutive ones, "3, 5" for others, "-" for none."""
    numbers = [int(name) for name in names if name.isdecimal()]
    consecutive = len(numbers) == len(names) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{names[0]}-{names[-1]}" if consecutive else ", ".join(names) or "-"


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
