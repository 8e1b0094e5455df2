"""Environment steps per second of the batched code, beside the same dynamics stepped by Gymnasium.

    python -m benchmarks.navigation_speed

One thread. A step is one action of one trajectory, the policy's own network (100, 100) included in the
batched rows and left out of Gymnasium's.
"""

import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import torch

from components.kinds.experiment import load_experiment
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.policy_adaptation import Environments, collect, unadapted
from metasgd.seeds import generator
from metasgd.tasks.navigation import Navigation

SHAPES = ((1, 1), (20, 20), (100, 20), (600, 20))
REPEATS = 5


def fastest(run: Callable[[], int]) -> float:
    """Steps per second in the best of some repeats."""
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        steps = run()
        rates.append(steps / (time.perf_counter() - started))
    return max(rates)


def batched(tasks: int, trajectories: int) -> float:
    experiment = load_experiment("navigation", path=Path("params.yaml"))
    dynamics = Navigation(experiment.tasks.distribution)
    problem = Problem("control", (dynamics.observations,), dynamics.actions)
    learner = build_learner(problem, experiment.network, experiment.algorithms["meta-sgd"])
    policies = unadapted(learner.initial(generator(1, "theta")), tasks)
    environments = Environments(dynamics, dynamics.sample(tasks, generator(1, "tasks")))
    noise = generator(1, "noise")

    def run() -> int:
        with torch.no_grad():
            found = collect(learner, policies, environments, trajectories, noise)
        return int(found.alive.sum())

    return fastest(run)


def stepped() -> float:
    """One environment, as `gymnasium.make` gives it, driven by random actions."""
    environment = gymnasium.make("metasgd.navigation_env:metasgd/Navigation2D-v0", disable_env_checker=True)

    def run() -> int:
        steps = 0
        for _ in range(10):
            environment.reset()
            over = False
            while not over:
                _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
                over = terminated or truncated
                steps += 1
        return steps

    return fastest(run)


def main() -> None:
    torch.set_num_threads(1)
    print("| tasks x trajectories | steps per second |\n|---|---|")
    print(f"| Gymnasium, one environment | {stepped():,.0f} |")
    for tasks, trajectories in SHAPES:
        print(f"| {tasks} x {trajectories} | {batched(tasks, trajectories):,.0f} |")


if __name__ == "__main__":
    main()
