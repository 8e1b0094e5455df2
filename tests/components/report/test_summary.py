"""The rows of a run: aggregation over seeds by hand, versions, champions, and files that are wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated import control, decision, result, task_scores
from rich.console import Console

from components.report.estimates import Estimate, Lead
from components.report.summary import comparisons, rows, table
from components.report.wording import (
    ahead,
    difference,
    estimated,
    estimated_difference,
    measure,
    score,
    trials,
    versions,
)
from metasgd.errors import InputError

WriteLane = Callable[..., tuple[Path, Path]]


def test_one_seed_keeps_its_own_interval(write_lane: WriteLane) -> None:
    """Of before and after, which the result already holds."""
    folder, file = write_lane("lane", [result("meta-sgd", 1)], decision([("meta-sgd", 1, "3")]))
    (row,) = rows([folder], [file])
    assert (row.before, row.after, row.steps) == (Estimate(4.0, 0.4), Estimate(0.9, 0.1), 1)
    assert (row.seeds, row.tasks, row.version, row.champion) == ([1], 4, "3", False)


def test_further_steps_are_not_what_counts(write_lane: WriteLane) -> None:
    """A control lane scores three steps, of which the first one is "after adaptation"."""
    folder, file = write_lane("lane", [control("meta-sgd")], decision([], experiment="navigation"))
    (row,) = rows([folder], [file])
    assert (row.before, row.after, row.steps) == (Estimate(-41.25, 1.5), Estimate(-9.126, 0.524), 1)
    assert (row.metric, row.higher_is_better, row.shots) == ("return", True, 20)


def test_seeds_are_averaged_task_by_task(write_lane: WriteLane) -> None:
    """Tasks average to 1, 2, 3, 4 over two seeds: std 1.29099, so 3.18245 * 1.29099 / 2 = 2.05426."""
    seeds = [result("meta-sgd", seed, steps=[{"step": 1, "mean": 2.5, "ci95": 9.0}]) for seed in (1, 2)]
    folder, file = write_lane("lane", seeds, decision([("meta-sgd", seed, None) for seed in (1, 2)]))
    task_scores([0.0, 2.0, 3.0, 5.0]).to_parquet(folder / "meta-sgd-seed1.parquet")
    task_scores([2.0, 2.0, 3.0, 3.0]).to_parquet(folder / "meta-sgd-seed2.parquet")
    (row,) = rows([folder], [file])
    assert row.after.mean == 2.5
    assert row.after.ci95 == pytest.approx(2.05426, abs=1e-5)
    assert row.seeds == [1, 2]


def write_pairs(write_lane: WriteLane) -> tuple[Path, Path]:
    """Three seeds each: Meta-SGD is ahead of MAML by 1, 2 and 3 on every task, and MAML has a fourth."""
    scores = {"meta-sgd": [1.0, 2.0, 3.0], "maml": [2.0, 4.0, 6.0, 9.0]}
    seeds = [
        result(name, seed, steps=[{"step": 1, "mean": mean, "ci95": 0.1}])
        for name, means in scores.items()
        for seed, mean in enumerate(means, start=1)
    ]
    folder, file = write_lane("lane", seeds, decision([("meta-sgd", 1, None), ("maml", 1, None)]))
    for one in seeds:
        mean = one["steps"][0]["mean"]
        table = task_scores([mean - 0.5, mean + 0.5])
        table.to_parquet(folder / f"{one['algorithm']}-seed{one['seed']}.parquet")
    return folder, file


def test_the_interval_over_seeds_is_students(write_lane: WriteLane) -> None:
    """Of means 1, 2, 3: standard deviation 1, so 4.30265 / sqrt(3) = 2.48414; one seed has none."""
    folder, file = write_pairs(write_lane)
    own, _ = rows([folder], [file])
    assert own.after.over_seeds == pytest.approx(2.48414, abs=1e-5)
    folder, file = write_lane("one", [result("meta-sgd", 1)], decision([]))
    assert rows([folder], [file])[0].after.over_seeds is None


def test_learners_are_compared_over_the_seeds_that_both_have(write_lane: WriteLane) -> None:
    """By 2 ± 2.484 over three seeds; on both tasks by the same, so that tasks tell nothing."""
    folder, file = write_pairs(write_lane)
    own, other = rows([folder], [file])
    assert other.leads == []
    (found,) = own.leads
    assert (found.other, found.seeds, found.difference.mean) == ("maml", 3, 2.0)
    assert found.difference.over_seeds == pytest.approx(2.48414, abs=1e-5)
    assert found.difference.ci95 == pytest.approx(0.0, abs=1e-9)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table([own, other]))
    assert "± 2.484 over seeds" in captured.get()
    assert comparisons([own, other]) == [
        "sine: meta-sgd and maml differ by no more than chance: "
        "2.000 [\N{MINUS SIGN}0.484, 4.484] over 3 seeds"
    ]


def test_rows_follow_the_decision_and_references_come_last(write_lane: WriteLane) -> None:
    """The run's order of algorithms is that of the decision's versions, not of the alphabet."""
    results = [result("from-scratch", 1, reference=True), result("maml", 1), result("meta-sgd", 1)]
    verdict = decision([("meta-sgd", 1, "1"), ("maml", 1, "2")], champion_after="2")
    folder, file = write_lane("lane", results, verdict)
    found = rows([folder], [file])
    assert [row.algorithm for row in found] == ["meta-sgd", "maml", "from-scratch"]
    assert [row.champion for row in found] == [False, True, False]
    assert [row.version for row in found] == ["1", "2", "-"]


def test_unregistered_models_are_no_champions(write_lane: WriteLane) -> None:
    """Without a champion, None must not match a version that is None."""
    folder, file = write_lane("lane", [result("maml", 1)], decision([("maml", 1, None)], dry_run=True))
    assert rows([folder], [file])[0].champion is False


def test_missing_files_are_named(write_lane: WriteLane) -> None:
    """A version without results, an empty folder, and per-task scores that are not there."""
    folder, file = write_lane("one", [result("maml", 1)], decision([("maml", 1, "1"), ("maml", 2, "2")]))
    with pytest.raises(InputError, match=r"maml-seed2\.json: no such file"):
        rows([folder], [file])
    with pytest.raises(InputError, match=r"decision\.json: no such file"):
        rows([folder], [folder / "decision.json"])
    folder, file = write_lane("two", [], decision([]))
    with pytest.raises(InputError, match="holds no results"):
        rows([folder], [file])
    two_seeds = [result("maml", 1), result("maml", 2)]
    folder, file = write_lane("three", two_seeds, decision([]))
    (folder / "maml-seed1.parquet").unlink()
    with pytest.raises(InputError, match=r"maml-seed1\.parquet: not readable"):
        rows([folder], [file])


def test_contradictions_are_refused(write_lane: WriteLane) -> None:
    """Another lane's decision, a decision too few, a key of the wrong type, seeds on different tasks."""
    folder, file = write_lane("one", [result("maml", 1)], decision([], experiment="other"))
    with pytest.raises(InputError, match="experiment is 'sine'; expected 'other'"):
        rows([folder], [file])
    with pytest.raises(InputError, match="1 results and 0 decisions"):
        rows([folder], [])
    folder, file = write_lane("two", [result("maml", 1, tasks="many")], decision([]))
    with pytest.raises(InputError, match=r"maml-seed1\.json: tasks"):
        rows([folder], [file])
    folder, file = write_lane("three", [result("maml", 1), result("maml", 2, task_set="f")], decision([]))
    with pytest.raises(InputError, match=r"maml-seed2\.json: task_set is 'f'"):
        rows([folder], [file])


def test_table_says_what_the_terminal_needs(write_lane: WriteLane) -> None:
    """Names come literally, also those that look like rich's markup; the champion has its star."""
    steps = [{"step": 0, "mean": 4, "ci95": 0}, {"step": 20, "mean": 2, "ci95": 0}]
    lane = [
        result("[red]meta", 1, experiment="[b]x"),
        result("scratch", 1, experiment="[b]x", steps=steps, adapted=20),
    ]
    verdict = decision([("[red]meta", 1, "7")], experiment="[b]x", champion_after="7")
    folder, file = write_lane("lane", lane, verdict)
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table(rows([folder], [file])))
    shown = captured.get()
    for text in ("[b]x", "[red]meta", "4.000", "0.900 ± 0.100", "2.000 ± 0.000 (20 steps)", "★"):
        assert text in shown


def test_the_table_fits_eighty_columns(write_lane: WriteLane) -> None:
    """With whole names and whole scores, where few tasks make the intervals wide."""
    accuracy = {"metric": "accuracy", "higher_is_better": True, "experiment": "glyphs-5way-1shot"}
    steps = [{"step": step, "mean": 1.0, "ci95": 0.2549} for step in (0, 1)]
    lane = [result("meta-sgd", 1, steps=steps, served=steps[1], **accuracy)]
    folder, file = write_lane(
        "lane", lane, decision([("meta-sgd", 1, "12")], experiment="glyphs-5way-1shot", champion_after="12")
    )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table(rows([folder], [file])))
    (line,) = [line for line in captured.get().splitlines() if "glyphs" in line]
    wide = "100.00 ± 25.49 %"
    assert line.split("  ")[0].startswith("glyphs-5way-1shot meta-sgd")
    assert line.count(wide) == 2
    assert "★ 12" in line


def test_wording() -> None:
    """Accuracies in per cent, errors to three decimals, returns to two, differences with their sign."""
    assert score(0.9531, 0.0026, "accuracy") == "95.31 ± 0.26 %"
    assert score(0.9034, 0.16, "mse") == "0.903 ± 0.160"
    assert score(-8.638, 0.68, "return") == "−8.64 ± 0.68"  # noqa: RUF001 - a minus sign
    assert difference(-0.0391, (-0.047, -0.031), "accuracy") == "−3.91 [−4.70, −3.10] points"  # noqa: RUF001 - a minus sign
    assert difference(0.25, None, "mse") == "+0.250"
    several = Estimate(0.5, 0.1, 0.2)
    assert estimated(several, "mse") == "0.500 ± 0.100 ± 0.200 over seeds"
    assert estimated(Estimate(0.5, 0.1), "mse", " (3 steps)") == "0.500 ± 0.100 (3 steps)"
    assert estimated_difference(several, "accuracy") == (
        "+50.00 [+40.00, +60.00] points, [+30.00, +70.00] over seeds"
    )
    assert ahead("meta-sgd", Lead("maml", 5, several), "accuracy") == (
        "meta-sgd is ahead of maml by 50.00 [30.00, 70.00] points over 5 seeds"
    )
    assert ahead("maml", Lead("meta-sgd", 5, Estimate(-0.5, 0.1, 0.2)), "mse").startswith("maml is behind")
    assert difference(0.476, (-0.021, 0.973), "return") == "+0.48 [−0.02, +0.97]"  # noqa: RUF001
    assert [measure("accuracy", 1), measure("mse", 5)] == ["1-shot accuracy", "5-shot mean squared error"]
    assert measure("return", 20) == "average return, 20 trajectories"
    assert [trials(metric, 1) for metric in ("mse", "return")] == ["1 example", "1 trajectory"]
    assert trials("accuracy", 5) == "5 examples of every class"
    assert [versions(v) for v in (["3"], ["3", "4", "5"], ["3", "5"], [])] == ["3", "3-5", "3, 5", "-"]
