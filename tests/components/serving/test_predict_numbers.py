"""Predictions for points of a curve, and of policies for goals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.serving.predictions import stage_names
from metasgd.configuration import MlpSettings
from metasgd.learner import Problem
from metasgd.learners import build_learner
from metasgd.policy_adaptation import Environments, Plan, stages
from metasgd.seeds import generator
from metasgd.tasks import Examples
from tests.components.serving.predicting import (
    curves,
    policy,
    predict,
    save,
    table,
    write,
)
from tests.metasgd.small import learner_settings, navigation, sine_learner


def test_a_curve_before_and_after_adaptation(tmp_path: Path) -> None:
    """As the learner that was saved predicts them."""
    served = curves(tmp_path / "model")
    support = write(tmp_path / "s.csv", "\ufeffx, y\n-2,1.5\n\n0.1,-1\r\n2e0,0\n")
    queries = write(tmp_path / "q.csv", "x\n-1\n0\n3.5\n")
    output = predict(tmp_path, "--support", support, "--queries", queries)
    x = torch.tensor([[-1.0], [0.0], [3.5]])
    points = Examples(torch.tensor([[-2.0], [0.1], [2.0]]), torch.tensor([[1.5], [-1.0], [0.0]]))
    found = table(output).to_numpy(np.float32)
    assert list(table(output).columns) == ["x", "before", "after"]
    np.testing.assert_array_equal(found[:, :1], x.numpy())
    np.testing.assert_array_equal(found[:, 1:2], served.adapt(points, steps=0).predict(x).numpy())
    np.testing.assert_array_equal(found[:, 2:], served.adapt(points).predict(x).numpy())
    assert not np.allclose(found[:, 1], found[:, 2])
    assert "after one step" in (output / "predictions.svg").read_text()


def test_the_only_point(tmp_path: Path) -> None:
    """A figure has room for it, though the curve has no length."""
    curves(tmp_path / "model")
    points = write(tmp_path / "s.csv", "x,y\n1,2\n"), write(tmp_path / "q.csv", "x\n1\n")
    output = predict(tmp_path, "--support", points[0], "--queries", points[1])
    assert len(table(output)) == 1
    assert (output / "predictions.svg").exists()


def test_several_inputs_and_outputs_are_numbered(tmp_path: Path) -> None:
    """They make no curve, so there is no figure."""
    problem = Problem("regression", (2,), 2)
    learner = build_learner(problem, MlpSettings("mlp", (8,)), learner_settings())
    save(tmp_path / "model", learner, "sinusoid-5shot")
    support = write(tmp_path / "s.csv", "x0,x1,y0,y1\n1,2,3,4\n")
    queries = write(tmp_path / "q.csv", "x0,x1\n5,6\n7,8\n")
    output = predict(tmp_path, "--support", support, "--queries", queries)
    assert list(table(output).columns) == ["x0", "x1", "before0", "before1", "after0", "after1"]
    assert table(output)["x1"].tolist() == [6, 8]
    assert not (output / "predictions.svg").exists()


@pytest.mark.parametrize("steps", [1, 2])
def test_returns_are_those_of_scoring(tmp_path: Path, steps: int) -> None:
    """In the environment, a policy gets what it gets in the batched dynamics on the same goal and noise."""
    served = policy(tmp_path / "model", steps)
    output = predict(tmp_path, "--goal", "0.4", "-0.2", "--goal", "-0.3", "0.1", "--seed", "3")
    found = table(output)
    assert list(found.columns) == ["goal", "goal_x", "goal_y", "stage", "trajectory", "return"]
    assert found["stage"].unique().tolist() == stage_names(steps)
    assert set(zip(found["goal"], found["goal_x"], found["goal_y"], strict=True)) == {
        (1, 0.4, -0.2), (2, -0.3, 0.1)
    }  # fmt: skip
    dynamics = navigation(horizon=6, clip=0.5, start=(-0.3, 0.3))
    for number, goal in enumerate([[0.4, -0.2], [-0.3, 0.1]]):
        start = json.loads((output / "predictions.json").read_text())["starts"][number]
        task = {"goal": torch.tensor([goal]), "start": torch.tensor([start])}
        noise = generator(3, f"prediction noise {number}")
        plan, environments = Plan(5, 3, steps), Environments(dynamics, task)
        expected = list(stages(served.learner, served.meta, environments, plan, noise))
        rows = found.loc[found["goal"] == number + 1, "return"].to_numpy().reshape(steps + 1, 3)
        np.testing.assert_allclose(rows, torch.cat([part.returns() for part in expected]), rtol=1e-5)
        assert not np.allclose(rows[0], rows[1])


def test_a_seed_draws_the_goal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same one every time; means are printed, trajectories drawn."""
    policy(tmp_path / "model")
    first = table(predict(tmp_path, "--seed", "5"))
    assert first.equals(table(predict(tmp_path, "--seed", "5")))
    assert not first.equals(table(predict(tmp_path, "--seed", "6")))
    assert first[["goal_x", "goal_y"]].abs().to_numpy().max() <= 0.5
    mean = first.loc[first["stage"] == "after", "return"].mean()
    assert f"{mean:.2f}".replace("-", "\N{MINUS SIGN}") in capsys.readouterr().out
    assert "svg" in (tmp_path / "out" / "predictions.svg").read_text()[:500]


def test_several_steps_are_named(tmp_path: Path) -> None:
    """Where the learner is tested after more than one."""
    learner = sine_learner()
    served = build_learner(learner.problem, learner.architecture, replace(learner.settings, test_steps=3))
    save(tmp_path / "model", served, "sinusoid-5shot")
    support = write(tmp_path / "s.csv", "x,y\n1,2\n")
    output = predict(tmp_path, "--support", support, "--queries", write(tmp_path / "q.csv", "x\n1\n"))
    assert "after 3 steps" in (output / "predictions.svg").read_text()
    assert stage_names(2) == ["before", "after 1 step", "after 2 steps"]
