"""What alpha is worth, in the report: by one seed's own numbers, or by several seeds' scores, by hand."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from fabricated import decision, result, task_scores

from components.artifacts.results import ABLATED
from components.report.estimates import Estimate, worth
from components.report.lanes import read_lanes
from components.report.step import report
from components.report.worth import WORDS, worth_table

WriteLane = Callable[..., tuple[Path, Path]]


def ablations(*names: str, worth: float = 0.25) -> list[dict[str, object]]:
    return [{"name": name, "mean": 1.15, "worth": worth, "ci95": 0.05} for name in names]


def test_one_seed_has_the_interval_over_tasks(write_lane: WriteLane, tmp_path: Path) -> None:
    """A column for the learner that has an alpha of its own; a lane without one has no table."""
    lane = [result("meta-sgd", 1, ablations=ablations("mean", "shuffled")), result("maml", 1)]
    folder, file = write_lane("lane", lane, decision([]))
    report([folder], [file], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "is worth</h3>" in page
    assert page.count("+0.250 [+0.200, +0.300]") == 2
    assert WORDS["mean"] in page
    folder, file = write_lane("other", [result("maml", 1)], decision([]))
    (plain,) = read_lanes([folder], [file])
    assert worth_table(plain) is None


def test_several_seeds_have_both(write_lane: WriteLane) -> None:
    """Ahead by 1 and 3 on the two gate tasks of seed 1, by 5 and 7 on those of seed 2: mean 4.

    Over tasks 3 and 5: 12.7062 * sqrt(2) / sqrt(2); over seeds 2 and 6: twice that.
    """
    seeds = [result("meta-sgd", seed, ablations=ablations("mean")) for seed in (1, 2)]
    folder, file = write_lane("lane", seeds, decision([]))
    for seed, lost in ((1, [1.0, 3.0]), (2, [5.0, 7.0])):
        table = task_scores([0.9, 0.9])
        gate = table[table["set"] == "gate"]
        ablated = gate.assign(set=f"{ABLATED}mean", score=gate["score"] + lost)
        pd.concat([table, ablated]).to_parquet(folder / f"meta-sgd-seed{seed}.parquet")
    (lane,) = read_lanes([folder], [file])
    found = worth(folder, lane.results["meta-sgd"], "mean")
    assert found == Estimate(4.0, pytest.approx(12.7062, abs=1e-4), pytest.approx(25.4124, abs=1e-4))
    table_of_lane = worth_table(lane)
    assert table_of_lane is not None
    assert table_of_lane.learners == ["meta-sgd"]
    assert table_of_lane.rows[0].ahead[0].endswith("over seeds")
