"""The best point of a sweep in words: as keys of params.yaml, and in a table."""

from collections.abc import Iterator
from itertools import chain

import yaml

from components.artifacts.choice import Choice, Ranked
from components.config.document import nested


def snippet(choice: Choice) -> str:
    """The best point as it stands in params.yaml, with a comment that says how it was found."""
    best, count = choice.best, len(choice.ranking)
    score = f"{choice.metric} on validation tasks {told(best)}"
    lines = [f"# The best of {count} points for {choice.algorithm}: {score}."]
    if choice.settings:
        lines.append(f"# All were trained with {' '.join(choice.settings)}.")
    keys = {choice.experiment: nested(best.overrides)}
    text = yaml.safe_dump(keys, default_flow_style=None, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*lines, text])


def markdown(choice: Choice) -> str:
    """The ranking as a table."""
    seeds = list(choice.best.scores)
    head = ["point", f"validation {choice.metric}", *(f"seed {seed}" for seed in seeds if len(seeds) > 1)]
    rows = [[f"`{point.name}`".replace("|", "\\|"), *cells(point)] for point in choice.ranking]
    table = chain([head, ["---"] * len(head)], rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n"


def cells(point: Ranked) -> Iterator[str]:
    """Its score, and those of the seeds where it has several."""
    yield told(point)
    if len(point.scores) > 1:
        yield from map(_number, point.scores.values())


def told(point: Ranked) -> str:
    """The mean over seeds, with its interval where there are several."""
    if point.half_width is None:
        return _number(point.mean)
    return f"{_number(point.mean)} ± {_number(point.half_width)} over {len(point.scores)} seeds"


def _number(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.4g}"
