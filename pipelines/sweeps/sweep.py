"""A sweep, resolved: its points, and the trainings of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.artifacts.choice import Trial, Trials, fingerprint, point_name
from components.config.swept import SweptTraining
from components.kinds.experiment import Experiment, load_variants
from metasgd.errors import InputError
from pipelines.dag import Lane
from pipelines.lanes import resolve
from pipelines.sweeps.draws import drawn
from pipelines.sweeps.space import Point, Space, about_points, require_size


@dataclass(frozen=True)
class Sweep:
    """Experiments that differ in what the points say; they share all tasks.

    settings: the overrides that all have. points, experiments: in the same order.
    """

    algorithm: str
    settings: Sequence[str]
    points: Sequence[Point]
    experiments: Sequence[Experiment]
    seeds: Sequence[int]

    @property
    def experiment(self) -> Experiment:
        """The first point's, for what all have in common."""
        return self.experiments[0]

    @property
    def name(self) -> str:
        keys = " ".join(text.partition("=")[0] for text in self.points[0])
        return f"sweep {self.experiment.name} {self.algorithm} over {keys}"

    @property
    def params(self) -> dict[str, object]:
        """What was asked for."""
        return {
            "experiments": self.experiment.name,
            "algorithm": self.algorithm,
            "seeds": " ".join(str(seed) for seed in self.seeds),
            "overrides": " ".join(self.settings),
            "points": len(self.points),
        }

    @property
    def trainings(self) -> list[SweptTraining]:
        """For every point and seed, points outermost."""
        return [
            SweptTraining(**vars(training), point=point_name(point))
            for point, experiment in zip(self.points, self.experiments, strict=True)
            for training in experiment.trainings(self.seeds)
        ]

    @property
    def trials(self) -> Trials:
        """As the choose step is told of it."""
        trials = [
            Trial(list(point), {fingerprint(one): one.seed for one in experiment.trainings(self.seeds)})
            for point, experiment in zip(self.points, self.experiments, strict=True)
        ]
        return Trials(self.experiment.name, self.algorithm, list(self.settings), trials)

    @property
    def lane(self) -> Lane:
        steps = {step: step for step in ("preprocess", "train", "choose")}
        return Lane(self.experiment.name, steps, [f"seed {one.seed} {one.point}" for one in self.trainings])


def resolve_sweep(space: Space, trials: int | None, seeds: Sequence[int]) -> Sweep:
    """trials: how many points are drawn; None for the grid. seeds: or those of params.yaml's `run`.

    Raises InputError for values that are wrong, for too many trainings, for points that train the same, and
    for an experiment without validation tasks.
    """
    _, chosen = resolve([space.experiment], seeds, space.settings)
    require_size(space, trials, len(chosen))
    points = space.grid() if trials is None else drawn(space, trials)
    with about_points():
        experiments = load_variants(space.experiment, space.shared, points)
    settings = [text for text in space.settings if not text.startswith(("kubeflow.", "run."))]
    sweep = Sweep(space.algorithm, settings, points, experiments, chosen)
    if not sweep.experiment.tasks.has_validation:
        raise InputError(
            f"{space.experiment}: tasks.source.final is true, so validation classes are trained on; expected "
            "false: a sweep chooses by them"
        )
    _require_different(sweep)
    return sweep


def _require_different(sweep: Sweep) -> None:
    names: dict[str, str] = {}
    for swept in sweep.trainings:
        key = fingerprint(swept.training)
        if key in names:
            raise InputError(
                f"OVER: {names[key]} and {swept.point} give the same training; expected points that differ"
            )
        names[key] = swept.point
