"""The head of the page: which run this is, and how to run it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from components.console.messages import duration
from components.plots.words import after_steps
from components.report.origin import UI, Origin
from components.report.summary import Row
from components.report.wording import listed

TITLED = 3  # experiments in the page's title


@dataclass(frozen=True)
class Link:
    address: str
    words: str


@dataclass(frozen=True)
class Head:
    """title: of the page, apart from other pages'. facts: what is said of the run, by what it is about.

    links: to MLflow; none where the report is not to differ from run to run. is_local: whether they need
        `make ui`.
    after: heads the column of scores after adaptation.
    """

    title: str
    command: str
    facts: dict[str, str]
    links: list[Link]
    is_local: bool
    after: str


def head(rows: Sequence[Row], command: str, origin: Origin | None) -> Head:
    experiments = list(dict.fromkeys(row.experiment for row in rows))
    day = f" on {_day(origin)}" if origin else ""
    shown = [*experiments[:TITLED], *([f"{len(experiments) - TITLED} more"] if experiments[TITLED:] else [])]
    facts = {
        "date": f"{_day(origin)} UTC" if origin else "",
        "duration": duration(origin.written - origin.started) if origin and origin.started else "",
        "machine": listed(list(dict.fromkeys(machine for row in rows for machine in row.machines))),
        "commit": ", ".join(dict.fromkeys(row.commit for row in rows)),
        "seeds": _by_experiment({row.experiment: ", ".join(map(str, row.seeds)) for row in rows}),
        "meta-iterations": _by_experiment(_iterations(rows)),
    }
    told = {name: text for name, text in facts.items() if text}
    links = _links(rows, origin) if origin else []
    steps = {row.steps for row in rows}
    after = after_steps(*steps).capitalize() if len(steps) == 1 else "After adaptation"
    return Head(f"{listed(shown)}{day}", command, told, links, origin is not None and origin.ui == UI, after)


def _iterations(rows: Sequence[Row]) -> dict[str, str]:
    """By experiment, of what is trained."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.iterations is not None:
            found.setdefault(row.experiment, []).append(f"{row.iterations:,}")
    return {experiment: " and ".join(dict.fromkeys(numbers)) for experiment, numbers in found.items()}


def _by_experiment(values: Mapping[str, str]) -> str:
    """One value for all of them, where they have the same."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{value} ({experiment})" for experiment, value in values.items())


def _day(origin: Origin) -> str:
    written = datetime.fromtimestamp(origin.written, UTC)
    return f"{written.day} {written:%B %Y, %H:%M}"


def _links(rows: Sequence[Row], origin: Origin) -> list[Link]:
    """To the run that stands for all of them, and to every training's."""
    trainings = [
        Link(origin.run(run), f"{row.experiment} {row.algorithm}{f' {seed}' if len(row.seeds) > 1 else ''}")
        for row in rows
        for run, seed in zip(row.runs, row.seeds, strict=False)
    ]
    return [*([Link(origin.page, "the whole run")] if origin.page else []), *trainings]
