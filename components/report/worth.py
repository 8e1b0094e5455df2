"""What alpha is worth, as a table: a row for everything that is taken away, a column for every learner."""

from dataclasses import dataclass

from components.report.estimates import worth
from components.report.lanes import Lane
from components.report.wording import estimated_difference

# By the names of metasgd.ablation.
WORDS = {
    "start": "its start, before meta-training",
    "mean": "one value for all parameters, its mean",
    "layer-means": "one value for each layer, its mean",
    "shuffled": "its values, in another order within each layer",
    "unsigned": "its values without their signs",
    "head-only": "a step of the last layer alone",
    "body-only": "a step of all layers but the last",
}


@dataclass(frozen=True)
class WorthRow:
    """instead: what takes alpha's place. ahead: by learner, what alpha is ahead by."""

    instead: str
    ahead: list[str]


@dataclass(frozen=True)
class WorthTable:
    """learners: those with an alpha of their own for every parameter."""

    learners: list[str]
    rows: list[WorthRow]


def worth_table(lane: Lane) -> WorthTable | None:
    """None where no learner of the lane has such an alpha, or it was scored before there were ablations."""
    learners = {name: seeds for name, seeds in lane.results.items() if all(one.ablations for one in seeds)}
    names = [ablation.name for ablation in next(iter(learners.values()))[0].ablations] if learners else []
    metric = lane.first.metric
    rows = [
        WorthRow(
            WORDS.get(name, name),
            [estimated_difference(worth(lane.folder, seeds, name), metric) for seeds in learners.values()],
        )
        for name in names
    ]
    return WorthTable(list(learners), rows) if rows else None
