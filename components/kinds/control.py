"""Control, section 5.3: tasks are environments, and policies adapt on their own trajectories."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic.dataclasses import dataclass as settings
from torch import Tensor

from components.artifacts.checkpoint import Trained
from components.artifacts.episodes import SETS, Description, Episodes, write_episodes
from components.artifacts.trajectories import in_planes, save_trajectories, stack_stages
from components.config.parsing import STRICT, from_document, to_json
from components.config.settings import Count, StoredTasks, TaskSettings, Training
from components.kinds.kind import THREADS, Hooks
from components.kinds.stopping import checked
from metasgd.configuration import DynamicsSettings, TrpoSettings
from metasgd.learner import Learner, Meta, Problem
from metasgd.loop import Outcome
from metasgd.policy_adaptation import CHUNK, Environments, Plan, collect, mean_returns, stages, unadapted
from metasgd.reinforcement import meta_train_policy
from metasgd.rollouts import Dynamics
from metasgd.seeds import generator
from metasgd.tasks.control import build

if TYPE_CHECKING:
    from components.datasets.pinned import Pin

SHOWN = 4  # test tasks whose trajectories are saved and drawn


@settings(frozen=True, config=STRICT)
class StoredRollouts(StoredTasks):
    """test_steps: inner steps that are scored on the test tasks, though fewer may count as adapted."""

    test_steps: Count


@settings(frozen=True, config=STRICT)
class ControlTasks(TaskSettings):
    kind: Literal["control"]
    distribution: DynamicsSettings
    stored: StoredRollouts

    def draw(self, folder: Path, pinned: "Pin | None" = None) -> list[str]:
        dynamics, discount = build(self.distribution), self.distribution.discount
        shape = (dynamics.observations,)
        description = Description(
            source="drawn from the distribution",
            problem=Problem("control", input_shape=shape, outputs=dynamics.actions, discount=discount),
            notes=[
                f"{self.stored.test_queries} trajectories score a task, by their undiscounted return",
                f"discount {discount} in the advantages",
            ],
        )
        stored = {
            name: dynamics.sample(getattr(self.stored, name), generator(self.seed, f"{name} tasks"))
            for name in SETS
        }
        write_episodes(folder, description, self, stored)
        return []


@dataclass(frozen=True)
class Control:
    """Implements `components.kinds.kind.Kind`."""

    parameters: ControlTasks
    episodes: Episodes
    dynamics: Dynamics
    schema: ClassVar[type[TaskSettings]] = ControlTasks
    scored_by: ClassVar[Literal["evaluate", "rollout"]] = "rollout"
    networks: ClassVar[tuple[str, ...]] = ("policy",)
    learners: ClassVar[tuple[str, ...]] = ("gradient",)
    optimiser: ClassVar[Literal["adam", "trpo"]] = "trpo"

    @classmethod
    def of(cls, episodes: Episodes) -> Self:
        tasks = from_document(ControlTasks, episodes.manifest.tasks, str(episodes.folder))
        return cls(tasks, episodes, build(tasks.distribution))

    def fit(self, learner: Learner, training: Training, hooks: Hooks) -> Outcome:
        assert isinstance(training.train, TrpoSettings)  # noqa: S101  # by `optimiser`
        distribution = self.parameters.distribution
        return meta_train_policy(
            learner, checked(self.dynamics, hooks.check), self.validation_score(learner), training.train,
            training.seed, shots=distribution.shots, queries=distribution.queries,
            watch=hooks.watch, resume=hooks.resume,
        )  # fmt: skip

    def validation_score(self, learner: Learner) -> Callable[[Meta], float]:
        plan = self._plan(self.parameters.distribution.shots, learner.settings.steps)
        return lambda meta: float(self._returns(learner, meta, "validation", plan)[:, -1].mean())

    def scores(self, learner: Learner, meta: Meta, name: str, shots: int) -> Tensor:
        """On test tasks, further inner steps than the learner's own are scored, too."""
        torch.set_num_threads(THREADS)
        steps = self._test_steps(learner) if name == "test" else learner.settings.test_steps
        return self._returns(learner, meta, name, self._plan(shots, steps))

    def draw(self, trained: Trained, lane: Sequence[Trained], folder: Path) -> None:
        from components.plots.alpha import draw_alpha
        from components.plots.curves import returns_curve
        from components.plots.style import save

        curve = trained.curve()
        if len(curve):
            tasks = trained.about.training.train.meta_batch
            beside = [other for one in lane if len(other := one.curve())]
            figure = returns_curve(curve, tasks, trained.about.chosen_iteration, beside)
            save(figure, folder / "learning-curve.svg")
        draw_alpha(trained.alpha, folder, [one.alpha for one in lane])

    def draw_lane(self, lane: Sequence[Trained], folder: Path) -> list[Path]:
        """Some trajectories of every checkpoint, as trajectories/<name>.safetensors; and Figure 4.

        The figure and its animation show the first seed of every algorithm, where tasks have a goal and a
        start in a plane; other dynamics get none.
        """
        driven = {trained.name: self._trajectories(trained) for trained in lane}
        for name, tensors in driven.items():
            save_trajectories(tensors, folder / "trajectories" / f"{name}.safetensors")
        if not all(in_planes(tensors) for tensors in driven.values()):
            return []
        return _draw_planes(lane, driven, folder / "figures")

    def example(self, learner: Learner, meta: Meta) -> dict[str, np.ndarray]:
        task, noise = self._environments("gate").first(1), self._noise("gate")(0)
        drawn = collect(learner, unadapted(meta, 1), task, self.parameters.reported_shots, noise)
        support = {f"support_{name}": part[0].numpy() for name, part in drawn._asdict().items()}
        return {**support, "query_observations": drawn.observations[0, 0].numpy()}

    def scoring_conditions(self) -> str:
        """The dynamics, and the seed of the noise."""
        return f"/{to_json(self.parameters.distribution)}/{self.parameters.seed}"

    def _environments(self, name: str) -> Environments:
        return Environments(self.dynamics, self.episodes.stored[name])

    def _plan(self, shots: int, steps: int) -> Plan:
        return Plan(shots, self.parameters.stored.test_queries, steps)

    def _noise(self, name: str) -> Callable[[int], torch.Generator]:
        """The actions' noise on the stored tasks of one set, chunk by chunk."""
        return lambda chunk: generator(self.parameters.seed, f"{name} noise {chunk}")

    def _returns(self, learner: Learner, meta: Meta, name: str, plan: Plan) -> Tensor:
        return mean_returns(learner, meta, self._environments(name), plan, self._noise(name))

    def _test_steps(self, learner: Learner) -> int:
        return max(learner.settings.test_steps, self.parameters.stored.test_steps)

    def _trajectories(self, trained: Trained) -> dict[str, Tensor]:
        """What was scored on the first test tasks (see components.artifacts.trajectories)."""
        torch.set_num_threads(THREADS)
        # The whole first chunk is driven again, because the noise belongs to all its tasks.
        chunk = self._environments("test").first(CHUNK)
        plan = self._plan(self.parameters.reported_shots, self._test_steps(trained.learner))
        found = stages(trained.learner, trained.meta, chunk, plan, self._noise("test")(0))
        return stack_stages(found, chunk.tasks, SHOWN)


def _draw_planes(
    lane: Sequence[Trained], driven: Mapping[str, Mapping[str, Tensor]], figures: Path
) -> list[Path]:
    from components.plots.animation import adaptation_animation
    from components.plots.planes import journeys
    from components.plots.style import save
    from components.plots.trajectories import trajectories_figure

    first = {trained.about.training.algorithm: trained.name for trained in reversed(lane)}
    steps = {trained.name: trained.learner.settings.test_steps for trained in lane}
    shown = [journeys(name, driven[first[name]], steps[first[name]]) for name in reversed(first)]
    still, moving = figures / "trajectories.svg", figures / "adaptation.gif"
    save(trajectories_figure(shown), still)
    adaptation_animation(shown, moving)
    return [still, moving]
