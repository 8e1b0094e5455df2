"""Trajectories of many tasks at once, by hand and against one at a time; and dynamics of one's own."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from metasgd.policy_adaptation import Environments, collect, unadapted
from metasgd.rollouts import Dynamics, Tasks, Trajectories, draw_noise, rollout
from metasgd.seeds import generator
from tests.metasgd.small import navigation, policy_learner, start

CPU = torch.device("cpu")


def as_drawn(seen: Tensor) -> Tensor:
    """Zero means of deviation 1: the noise is the action."""
    return torch.zeros(*seen.shape[:-1], 4)


def plan(*trajectories: list[tuple[float, float]]) -> Tensor:
    """Actions of one task's trajectories as noise [time, 1, trajectories, 2]."""
    return torch.tensor(trajectories).transpose(0, 1).unsqueeze(1)


def test_a_trajectory_by_hand() -> None:
    """Two trajectories to a goal at (0.2, 0): one arrives with its second step, one wanders off.

    From (0, 0), (1, 0) twice ends at the goal: -0.1, 0, and what comes then counts for nothing. Up to
    (0, 0.1), to (0, 0.2) and back: -sqrt(0.05), -sqrt(0.08), -sqrt(0.05).
    """
    tasks = {"goal": torch.tensor([[0.2, 0.0]]), "start": torch.zeros(1, 2)}
    found = rollout(
        navigation(horizon=3), tasks, as_drawn,
        plan([(1, 0), (1, 0), (1, 0)], [(0, 1), (0, 3), (0, -1)]),
    )  # fmt: skip
    assert found.alive.tolist() == [[[True, True, False], [True, True, True]]]
    assert found.rewards[0, 0].tolist() == pytest.approx([-0.1, 0.0, 0.0], abs=1e-7)
    assert found.rewards[0, 1].tolist() == pytest.approx([-(0.05**0.5), -(0.08**0.5), -(0.05**0.5)])
    assert found.returns().tolist() == [pytest.approx([-0.1, -2 * 0.05**0.5 - 0.08**0.5])]
    # Observations are from before each action; after the end the point stays.
    assert found.observations[0, 0].flatten().tolist() == pytest.approx([0, 0, 0.1, 0, 0.2, 0])
    assert found.observations[0, 1].flatten().tolist() == pytest.approx([0, 0, 0, 0.1, 0, 0.2])
    # Actions are as they were drawn, unclipped: their densities count.
    assert found.actions[0, 1, 1].tolist() == [0.0, 3.0]


def doubled(tasks: Tasks) -> Tasks:
    return {name: value.double() for name, value in tasks.items()}


def test_all_at_once_equals_one_at_a_time() -> None:
    """Tasks with policies of their own and their trajectories, some of which end early."""
    dynamics, learner = navigation(start=(-0.2, 0.2), horizon=12, tolerance=0.15), policy_learner()
    tasks = doubled(dynamics.sample(4, generator(1, "tasks")))
    policies = [start(learner, seed).theta for seed in range(4)]
    thetas = {name: torch.stack([theta[name].double() for theta in policies]) for name in policies[0]}
    noise = draw_noise(dynamics, 4, 3, generator(1, "noise"), CPU).double()
    together = rollout(dynamics, tasks, lambda seen: vmap(learner.network)(thetas, seen), noise)
    assert together.observations.shape == (4, 3, 12, 2)
    assert 0 < int((~together.alive[:, :, -1]).sum()) < 12
    for task in range(4):
        one = {name: value[task : task + 1] for name, value in tasks.items()}
        theta = {name: value[task] for name, value in thetas.items()}
        for number in range(3):
            some = noise[:, task : task + 1, number : number + 1]
            alone = rollout(dynamics, one, lambda seen, own=theta: learner.network(own, seen), some)
            for mine, theirs in zip(alone, together, strict=True):
                torch.testing.assert_close(mine[0, 0], theirs[task, number], rtol=1e-12, atol=1e-12)


def test_what_comes_after_the_end_changes_nothing() -> None:
    """Other noise after a trajectory's end leaves its observations, rewards and return as they were."""
    tasks = {"goal": torch.tensor([[0.1, 0.0]]), "start": torch.zeros(1, 2)}
    one, other = (
        rollout(navigation(horizon=3), tasks, as_drawn, plan([(1, 0), later, later]))
        for later in ((0.0, 0.0), (5.0, -5.0))
    )
    assert one.alive.tolist() == other.alive.tolist() == [[[True, False, False]]]
    assert torch.equal(one.observations, other.observations)
    assert torch.equal(one.rewards, other.rewards)


def test_noise_is_decided_by_its_stream_alone() -> None:
    """[time, tasks, trajectories, actions], the stream's next numbers, standard normal."""
    dynamics = navigation(horizon=50)
    noise = draw_noise(dynamics, 6, 20, generator(1, "noise"), CPU)
    assert noise.shape == (50, 6, 20, 2)
    assert torch.equal(noise, torch.randn((50, 6, 20, 2), generator=generator(1, "noise")))
    assert (float(noise.mean()), float(noise.std())) == pytest.approx((0, 1), abs=0.04)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_noise_is_the_same_on_every_device() -> None:
    """Drawn on the CPU, where the streams are."""
    one, other = (
        draw_noise(navigation(), 2, 3, generator(1, "noise"), torch.device(name)) for name in ("cpu", "cuda")
    )
    assert other.is_cuda
    assert torch.equal(one, other.cpu())


def test_learners_meet_the_same_noise() -> None:
    """What a policy does never shifts the noise: another one draws the same deviations from its mean."""
    dynamics, learner = navigation(horizon=5), policy_learner()
    tasks = dynamics.sample(2, generator(1, "tasks"))
    deviations = []
    for seed in (1, 2):
        theta = start(learner, seed).theta
        stream = generator(1, "noise")
        policies = unadapted(start(learner, seed), 2)
        found = collect(learner, policies, Environments(dynamics, tasks), 3, stream)
        mean = learner.network(theta, found.observations)[..., :2]
        deviations.append(found.actions - mean)
        assert torch.equal(stream.get_state(), after(dynamics, 3))
    torch.testing.assert_close(*deviations, rtol=1e-5, atol=1e-5)


def after(dynamics: Dynamics, trajectories: int) -> Tensor:
    """The state of the stream after the noise of two tasks."""
    stream = generator(1, "noise")
    draw_noise(dynamics, 2, trajectories, stream, CPU)
    return stream.get_state()


@dataclass(frozen=True)
class Drift:
    """A point with a velocity on a line, in a hidden wind; only the point's place is observed.

    States are [tasks, trajectories, 2]: place and velocity.
    """

    horizon: int = 3
    observations: int = 1
    actions: int = 1

    def sample(self, count: int, generator: torch.Generator) -> Tasks:
        return {"wind": torch.randn((count, 1), generator=generator)}

    def start(self, tasks: Tasks, trajectories: int) -> Tensor:
        return torch.zeros(len(tasks["wind"]), trajectories, 2)

    def observe(self, states: Tensor) -> Tensor:
        return states[..., :1]

    def step(self, tasks: Tasks, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place, velocity = states.split(1, dim=-1)
        velocity = velocity + actions + tasks["wind"].unsqueeze(1)
        place = place + velocity
        rewards = -place.abs().squeeze(-1)
        return torch.cat([place, velocity], dim=-1), rewards, rewards < -10


def test_dynamics_of_ones_own_by_hand() -> None:
    """Winds of 1 and -2, actions 0, 1 and 0.

    Velocities 1, 3, 4 and -2, -3, -5; places 1, 4, 8 and -2, -5, -10.
    """
    dynamics: Dynamics = Drift()
    seen: list[Tensor] = []

    def policy(observations: Tensor) -> Tensor:
        seen.append(observations)
        return torch.zeros(*observations.shape[:-1], 2)

    tasks = {"wind": torch.tensor([[1.0], [-2.0]])}
    noise = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1, 1).expand(3, 2, 1, 1)
    found = rollout(dynamics, tasks, policy, noise)
    assert found.rewards.squeeze(1).tolist() == [[-1, -4, -8], [-2, -5, -10]]
    assert found.returns().tolist() == [[-13], [-17]]
    assert found.observations.flatten(1).tolist() == [[0, 1, 4], [0, -2, -5]]
    assert found.alive.all()
    assert all(observations.shape == (2, 1, 1) for observations in seen), "neither wind nor velocity"


def test_dynamics_of_ones_own_end_their_trajectories() -> None:
    """A wind of 6 carries the point to 6 and 18, beyond 10: there it ends, and 36 does not count."""
    found = rollout(
        Drift(), {"wind": torch.tensor([[6.0]])}, lambda seen: torch.zeros(1, 1, 2), torch.zeros(3, 1, 1, 1)
    )
    assert found.alive.flatten().tolist() == [True, True, False]
    assert isinstance(found, Trajectories)
    assert found.returns().tolist() == [[-24]]
