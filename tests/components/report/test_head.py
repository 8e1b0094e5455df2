"""The head of the page, the verdicts, and the paper's iterations beside those of the run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated import control, decision, result

from components.artifacts.runs import RUNS, RunRecord, write_runs
from components.report.estimates import Estimate, Lead
from components.report.head import head
from components.report.lanes import read_lanes
from components.report.origin import UI, Origin
from components.report.published import both_iterations
from components.report.step import report
from components.report.summary import Row, lane_rows
from components.report.verdicts import verdict

WriteLane = Callable[..., tuple[Path, Path]]
COMMAND = "make pipeline-run EXPERIMENTS='sine navigation' SEEDS=1"
# 28 February 2024, 12:03:17 UTC, 197 seconds after its start.
ORIGIN = Origin(UI, f"{UI}/#/runs/aa", started=1709121600.0, written=1709121797.0)


@pytest.fixture
def lanes(write_lane: WriteLane) -> list[tuple[Path, Path]]:
    """Two seeds of sines, and navigation, each with its runs."""
    sines = [result("maml", seed) for seed in (1, 2)]
    found = [
        write_lane("sine", sines, decision([])),
        write_lane("navigation", [control("meta-sgd")], decision([], experiment="navigation")),
    ]
    write_runs(found[0][0] / RUNS, {f"maml-seed{n}": RunRecord(f"b{n}", 9.0, None, "a box") for n in (1, 2)})
    write_runs(found[1][0] / RUNS, {"meta-sgd-seed1": RunRecord("c1", 9.0, None, "another")})
    return found


def row(**changes: object) -> Row:
    of_row = {
        "experiment": "sine",
        "algorithm": "meta-sgd",
        "seeds": [1],
        "metric": "mse",
        "reference": False,
    }
    scores = {"before": Estimate(4.0, 0.4), "after": Estimate(0.9, 0.1), "served": Estimate(0.9, 0.1)}
    about = {
        "higher_is_better": False,
        "shots": 5,
        "steps": 1,
        "tasks": 600,
        "iterations": 60,
        "version": "-",
    }
    data = {"champion": False, "commit": "0123", "data": "a", "task_set": "b", "gain": Estimate(3.1, 0.25)}
    return Row(**{**of_row, **scores, **about, **data, **changes})  # type: ignore[arg-type]


def test_the_head_says_how_to_find_and_repeat_the_run(lanes: list[tuple[Path, Path]]) -> None:
    rows = [one for lane in read_lanes(*zip(*lanes, strict=True), with_runs=True) for one in lane_rows(lane)]
    found = head(rows, COMMAND, ORIGIN)
    assert found.title == "sine and navigation on 28 February 2024, 12:03"
    assert found.command == COMMAND
    assert found.facts == {
        "date": "28 February 2024, 12:03 UTC",
        "duration": "3 min 17 s",
        "machine": "a box and another",
        "commit": "0123abcd",
        "seeds": "1, 2 (sine); 1 (navigation)",
        "meta-iterations": "10,000",
    }
    assert [(link.address.removeprefix(f"{UI}/#/runs/"), link.words) for link in found.links] == [
        ("aa", "the whole run"),
        ("b1", "sine maml 1"),
        ("b2", "sine maml 2"),
        ("c1", "navigation meta-sgd"),
    ]


def test_the_page_says_it_too(lanes: list[tuple[Path, Path]], tmp_path: Path) -> None:
    """A lane that is told later keeps the links of the earlier ones, in head and chapters."""
    (sine, sine_file), (navigation, navigation_file) = lanes
    report([sine], [sine_file], tmp_path / "first", command=COMMAND, origin=ORIGIN)
    report([navigation], [navigation_file], tmp_path / "out", tmp_path / "first", COMMAND, ORIGIN)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<title>sine and navigation on 28 February 2024, 12:03: adapting in one step</title>" in page
    assert page.count(f'<a href="{UI}/#/runs/b2">') == 2
    assert page.count(f'<a href="{UI}/#/runs/c1">') == 2
    assert "<dt>duration</dt><dd>3 min 17 s</dd>" in page
    assert "make pipeline-run EXPERIMENTS=&#39;sine navigation&#39; SEEDS=1" in page


def test_a_report_that_is_not_to_differ_names_no_run(lanes: list[tuple[Path, Path]], tmp_path: Path) -> None:
    for name in ("first", "second"):
        report(*zip(*lanes, strict=True), tmp_path / name, command="make repro")
    first, second = ((tmp_path / name / "report.html").read_bytes() for name in ("first", "second"))
    assert first == second
    assert b"make repro" in first
    assert b"in MLflow" not in first
    rows = json.loads((tmp_path / "first" / "summary.json").read_text())
    assert {(*one["runs"], *one["machines"]) for one in rows} == {()}


def test_a_verdict_has_the_gain_and_its_interval() -> None:
    """Better, worse, neither, and lost altogether; after as many steps as it took."""
    assert verdict([row()]) == "After one step, meta-sgd is better by 3.100 [2.850, 3.350] on 600 test tasks."
    worse = row(gain=Estimate(-0.8, 0.5), steps=100, algorithm="from-scratch")
    assert verdict([worse]) == (
        "After 100 steps, from-scratch is worse by 0.800 [0.300, 1.300] on 600 test tasks."
    )
    neither = verdict([row(gain=Estimate(0.1, 0.25))]).replace("\N{MINUS SIGN}", "-")
    assert neither == (
        "After one step, meta-sgd is neither better nor worse: by 0.100 [-0.150, 0.350] on 600 test tasks."
    )
    assert "diverged" in verdict([row(gain=Estimate(float("nan"), float("nan")))])


def test_a_verdict_over_seeds_compares_algorithms_and_over_one_seed_models() -> None:
    """By the interval over seeds, where there are several."""
    several = Lead("maml", 5, Estimate(0.5, 0.1, 0.2))
    told = verdict([row(seeds=[1, 2, 3, 4, 5], gain=Estimate(3.0, 0.1, 0.5), leads=[several])])
    assert "better by 3.000 [2.500, 3.500]" in told
    assert told.endswith("Over 5 seeds, meta-sgd is ahead of maml by 0.500 [0.300, 0.700].")
    one = [Lead("maml", 1, Estimate(-0.5, 0.1)), Lead("prototypes", 1, Estimate(0.0, 0.1))]
    told = verdict([row(leads=one)]).replace("\N{MINUS SIGN}", "-")
    assert told.endswith(
        "On the same tasks, this meta-sgd model is behind maml by 0.500 [0.400, 0.600] and not told apart "
        "from prototypes (0.000 [-0.100, 0.100]); one training of each does not tell which algorithm is "
        "better."
    )


def test_gain_is_paired_task_by_task(write_lane: WriteLane) -> None:
    """Every task of the fabricated lane gains 4.0 - 0.9, whatever its own level: no interval is left."""
    folder, file = write_lane("lane", [result("maml", 1)], decision([]))
    (lane,) = read_lanes([folder], [file])
    (found,) = lane_rows(lane)
    assert found.gain == Estimate(pytest.approx(3.1), pytest.approx(0.0))
    assert found.iterations == 10000


def test_what_is_not_trained_has_no_iterations(write_lane: WriteLane) -> None:
    scratch = result("from-scratch", 1, reference=True, learner={"alpha": "fixed", "trained": False})
    folder, file = write_lane("lane", [scratch], decision([]))
    assert lane_rows(read_lanes([folder], [file])[0])[0].iterations is None


def test_the_papers_values_stand_with_both_numbers_of_iterations(
    write_lane: WriteLane, tmp_path: Path
) -> None:
    """In the summary and in the chapter, where the run is a short one; as far as the paper says them."""
    name = "sinusoid-5shot-paper"
    short = {"iterations": 60, "chosen_iteration": 60, "device": "cpu", "compiled": False}
    lane = [result("maml", 1, experiment=name, training=short)]
    folder, file = write_lane("lane", lane, decision([], experiment=name))
    report([folder], [file], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text().replace("&#39;", "'")
    assert page.count("the paper's values are after 60,000 meta-iterations; here, it is 60") == 2
    assert both_iterations("omniglot-5way-1shot", 2000) == (
        "the paper's values are after a number of meta-iterations that it does not say; here, it is 2,000"
    )
    assert both_iterations("glyphs-5way-1shot", 2000) is None
