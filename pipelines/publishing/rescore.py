"""python -m pipelines.publishing.rescore: what `make evaluate-published` does.

Scores the models in models/ anew on the stored tasks, without any training, and compares with results/.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from components.artifacts.checkpoint import Trained, load_served, load_trained
from components.config.code import ROOT
from components.config.environment import LOCAL
from components.config.settings import TaskSettings
from components.console.command import run_command
from components.console.tables import print_whole
from components.kinds.experiment import load_experiment
from components.kinds.kind import Kind
from components.kinds.table import load_tasks, task_settings
from components.report.wording import number
from components.scoring.step import test_scores
from metasgd.errors import InputError
from pipelines.publishing.numbers import numbers
from pipelines.publishing.record import Number, Record, model_folder, records
from pipelines.publishing.trainings import drawn

# A number holds where it differs by less than this share of its own interval over tasks: another processor
# rounds otherwise, and a score may tip over in a task or two.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Check:
    published: Number
    here: Number

    @property
    def holds(self) -> bool:
        allowed = max(TOLERANCE * self.published.over_tasks, 1e-6)
        pairs = zip(self.here.by_seed, self.published.by_seed, strict=True)
        return all(abs(here - published) <= allowed for here, published in pairs)


def main() -> None:
    options = _parser().parse_args()
    console, failed, checked = Console(), 0, 0
    for record in _chosen(options.experiments):
        try:
            checks = list(rescored(record))
        except InputError as error:
            if not _lacks_data(record):
                raise
            console.print(f"{_title(record)}: not scored: {error}", soft_wrap=True)
            continue
        checked += len(checks)
        failed += sum(not check.holds for check in checks)
        print_whole(console, _table(record, checks))
    console.print(f"{checked - failed} of {checked} published numbers hold here")
    if failed or not checked:
        raise InputError(f"{failed} of {checked} numbers differ; expected those of results/")


def rescored(record: Record, root: Path = ROOT, kept: Path = LOCAL / "published") -> Iterator[Check]:
    """Every number of the record beside what its models get here.

    Raises InputError for a model that is missing or not the published one, and for other data.
    """
    folders = [model_folder(record.experiment, name, root) for name in record.models]
    tasks = load_tasks(drawn(_task_settings(record, folders[0]), kept))
    if tasks.episodes.manifest.data != record.data:
        raise InputError(f"{record.experiment}: the data here are {tasks.episodes.manifest.data[:12]}; "
                         f"expected {record.data[:12]}, which the models were scored on")  # fmt: skip
    models = [load_trained(folder, tasks.episodes.manifest.problem) for folder in folders]
    here = _numbers(models, tasks, [one.tasks for one in record.numbers])
    for published in record.numbers:
        yield Check(published, here[_key(published)])


def _numbers(
    models: Sequence[Trained], tasks: Kind, counts: Sequence[int]
) -> dict[tuple[object, ...], Number]:
    scores = {model.about.training.seed: test_scores(model, tasks) for model in models}
    return {_key(one): one for one in numbers(scores, min(counts))}


def _key(one: Number) -> tuple[object, ...]:
    return one.protocol, one.shots, one.step, one.tasks


def _table(record: Record, checks: Sequence[Check]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=_title(record), title_justify="left")
    for column in ("shots", "step", "tasks", "protocol"):
        table.add_column(column)
    for column in ("published", "here", ""):
        table.add_column(column, justify="right")
    for check in checks:
        one = check.published
        means = (number(value.mean, record.metric) for value in (one, check.here))
        named = (str(one.shots), str(one.step), str(one.tasks), one.protocol)
        table.add_row(*named, *means, "same" if check.holds else "DIFFERS")
    return table


def _title(record: Record) -> str:
    on = f" on {record.scored_on}" if record.scored_on else ""
    return f"{record.experiment} {record.algorithm}{on}"


def _chosen(experiments: Sequence[str]) -> list[Record]:
    found = [record for record in records() if not experiments or record.experiment in experiments]
    if missing := set(experiments) - {record.experiment for record in found}:
        known = ", ".join(dict.fromkeys(record.experiment for record in records())) or "none yet"
        raise InputError(f"EXPERIMENTS {sorted(missing)[0]!r} is not published; expected one of {known}")
    return found


def _lacks_data(record: Record) -> bool:
    """Whether the pictures that its tasks are made of are not here."""
    files = _task_settings(record, model_folder(record.experiment, record.models[0])).files
    return files is not None and not Path(files).exists()


def _task_settings(record: Record, model: Path) -> TaskSettings:
    """Those that the model says that it was trained on, or those of another experiment."""
    if record.scored_on:
        return load_experiment(record.scored_on).tasks
    return task_settings(load_served(model, str(model))[-1].tasks, str(model))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.publishing.rescore",
        description="Score the published models anew, and compare with the published numbers.",
    )
    parser.add_argument("--experiments", nargs="*", default=[], help="by default, all that are published")
    return parser


if __name__ == "__main__":
    run_command(main)
