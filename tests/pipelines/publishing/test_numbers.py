"""Scores of single tasks as published numbers, by hand."""

import math

import pandas as pd
import pytest

from pipelines.publishing.numbers import numbers, worth


def table(*rows: tuple[str, int, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["set", "shots", "task", "step", "score"])


def two_seeds(name: str = "test") -> dict[int, pd.DataFrame]:
    """Three tasks by two trainings; step 0 counts half."""
    scores = {1: (1.0, 2.0, 6.0), 2: (3.0, 4.0, 8.0)}
    return {
        seed: table(
            *((name, 5, task, step, score * step) for task, score in enumerate(own) for step in (0, 1))
        )
        for seed, own in scores.items()
    }


def test_a_number_has_two_intervals() -> None:
    """Tasks are averaged over seeds first: 2, 3, 7; the seeds' means are 3 and 5."""
    before, after = numbers(two_seeds())
    assert (before.step, before.mean, before.over_tasks) == (0, 0.0, 0.0)
    assert (after.protocol, after.shots, after.step, after.tasks) == ("published", 5, 1, 3)
    assert (after.mean, after.by_seed) == (4.0, [3.0, 5.0])
    assert after.over_tasks == pytest.approx(4.302653 * math.sqrt(7 / 3))  # t for 2 degrees of freedom
    assert after.over_seeds == pytest.approx(12.706205 * 1.0)  # t for 1; a standard error of sqrt(2 / 2)


def test_the_first_tasks_alone() -> None:
    """Beside all of them, once where they are all."""
    found = [one for one in numbers(two_seeds(), first=2) if one.step == 1]
    assert [(one.tasks, one.mean) for one in found] == [(3, 4.0), (2, 2.5)]
    assert [one.tasks for one in numbers(two_seeds(), first=3)] == [3, 3]


def test_one_seed_says_nothing_of_seeds() -> None:
    *_, only = numbers({7: two_seeds()[1]})
    assert (only.over_seeds, only.by_seed) == (None, [3.0])


def test_as_served_is_a_number_of_its_own() -> None:
    scores = {1: pd.concat([two_seeds()[1], two_seeds("served")[2]])}
    assert [(one.protocol, one.mean) for one in numbers(scores) if one.step == 1] == [
        ("published", 3.0),
        ("served", 5.0),
    ]


def test_seeds_keep_the_order_in_which_they_are_given() -> None:
    scores = two_seeds()
    *_, found = numbers({2: scores[2], 1: scores[1]})
    assert found.by_seed == [5.0, 3.0]


def test_a_task_that_failed_is_not_left_out() -> None:
    """No worth, rather than that of the other tasks."""
    gate = [("gate", 5, task, 1, 1.0) for task in range(3)]
    mean = [("gate, alpha: mean", 5, task, 1, math.nan if task == 1 else 2.0) for task in range(3)]
    (found,) = worth({1: table(*gate, *mean)}, step=1, higher_is_better=False)
    assert math.isnan(found.mean)


def test_worth_is_paired_and_positive_where_alpha_helps() -> None:
    """An error that grows by 1, 2 and 3 without alpha: ahead by 2, in every seed."""
    scores = {}
    for seed in (1, 2):
        gate = [("gate", 5, task, 1, 10.0 * seed) for task in range(3)]
        mean = [("gate, alpha: mean", 5, task, 1, 10.0 * seed + task + 1) for task in range(3)]
        scores[seed] = table(*gate, *mean)
    (found,) = worth(scores, step=1, higher_is_better=False)
    assert (found.ablation, found.mean, found.by_seed, found.over_seeds) == ("mean", 2.0, [2.0, 2.0], 0.0)
    assert found.over_tasks == pytest.approx(4.302653 / math.sqrt(3))
    (found,) = worth(scores, step=1, higher_is_better=True)
    assert found.mean == -2.0
