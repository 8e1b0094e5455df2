"""Published models, scored anew on the stored tasks without any training, beside the published numbers.

All of results/ is compared: means, intervals, and what alpha is worth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from components.artifacts.checkpoint import Trained, load_trained
from components.config.code import ROOT
from components.kinds.kind import Kind, task_set
from components.kinds.table import load_tasks, task_settings
from components.report.wording import number
from components.scoring.step import table_of_gate, table_of_tests
from metasgd.errors import InputError
from metasgd.own_folder import is_whole
from pipelines.publishing.numbers import numbers, worth
from pipelines.publishing.record import Number, Record, Worth, model_folder, records
from pipelines.publishing.trainings import KEPT, drawn

# A number holds where it differs by less than this share of its own interval over tasks: another processor
# rounds otherwise, and a score may tip over in a task or two.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Check:
    """name: what was measured, in words."""

    name: str
    published: Number | Worth
    here: Number | Worth

    @property
    def holds(self) -> bool:
        allowed = max(TOLERANCE * self.published.over_tasks, 1e-6)
        here, published = _values(self.here), _values(self.published)
        return bool(np.isclose(here, published, rtol=0, atol=allowed, equal_nan=True).all())


class NoDataError(InputError):
    """The pictures that the tasks are made of are not here."""


def rescored(record: Record, root: Path = ROOT, kept: Path = KEPT) -> Iterator[Check]:
    """Every number of the record beside what its models get here.

    Raises NoDataError, and InputError for models that are not the published ones, and for other tasks.
    """
    folders = [model_folder(record.experiment, name, root) for name in record.models]
    for folder in folders:
        if not is_whole(folder):
            raise InputError(f"{folder}: missing or damaged; expected the published model")
    tasks = _tasks(record, kept)
    models = [load_trained(folder, tasks.episodes.manifest.problem) for folder in folders]
    for model, weights in zip(models, record.weights, strict=True):
        if model.weights != weights:
            raise InputError(f"{model.folder}: its weights are not those of {record.title}; expected them")
    yield from _checks(record, models, tasks)


def _tasks(record: Record, kept: Path) -> Kind:
    settings = task_settings(record.tasks, record.title)
    try:
        tasks = load_tasks(drawn(settings, kept))
    except InputError as error:
        raise NoDataError(str(error)) from None
    here = {shots: task_set(tasks, "test", shots) for shots in record.task_sets}
    if here != record.task_sets:
        raise InputError(f"{record.title}: the test tasks here are others; expected those of results/")
    return tasks


def _checks(record: Record, models: Sequence[Trained], tasks: Kind) -> Iterator[Check]:
    scores = {model.about.training.seed: table_of_tests(model, tasks) for model in models}
    here = {_key(one): one for one in numbers(scores, min(one.tasks for one in record.numbers))}
    for published in record.numbers:
        yield Check(_words(published), published, here[_key(published)])
    if record.worth:
        scores = {model.about.training.seed: table_of_gate(model, tasks) for model in models}
        gate = {one.ablation: one for one in worth(scores, record.adapted, record.higher_is_better)}
        for ablated in record.worth:
            yield Check(f"alpha: {ablated.ablation}", ablated, gate[ablated.ablation])


def _key(one: Number) -> tuple[object, ...]:
    return one.protocol, one.shots, one.step, one.tasks


def _words(one: Number) -> str:
    return f"{one.shots} shots, step {one.step}, {one.tasks} tasks, {one.protocol}"


def _values(one: Number | Worth) -> list[float]:
    over_seeds = [] if one.over_seeds is None else [one.over_seeds]
    return [one.mean, one.over_tasks, *over_seeds, *one.by_seed]


def check_table(record: Record, checks: Sequence[Check]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=record.title, title_justify="left")
    table.add_column("what")
    for column in ("published", "here", ""):
        table.add_column(column, justify="right")
    for check in checks:
        means = (number(value.mean, record.metric) for value in (check.published, check.here))
        table.add_row(check.name, *means, "same" if check.holds else "DIFFERS")
    return table


def chosen(experiments: Sequence[str]) -> list[Record]:
    found = [record for record in records() if not experiments or record.experiment in experiments]
    if missing := set(experiments) - {record.experiment for record in found}:
        known = ", ".join(dict.fromkeys(record.experiment for record in records())) or "none yet"
        raise InputError(f"EXPERIMENTS {sorted(missing)[0]!r} is not published; expected one of {known}")
    return found
