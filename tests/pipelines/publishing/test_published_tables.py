"""Published numbers as Markdown."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.publishing import tables
from pipelines.publishing.record import Number, Record, Worth

MINUS = "\N{MINUS SIGN}"


def number(mean: float, step: int = 1, protocol: str = "published", seeds: int = 2, **changes: int) -> Number:
    by_seed = [mean - 0.01, mean + 0.01][:seeds]
    over_seeds = 0.127 if seeds == 2 else None
    return Number(
        protocol, changes.get("shots", 5), step, changes.get("tasks", 600), mean, 0.05, over_seeds, by_seed
    )


RECORD = Record(
    experiment="sinusoid-5shot-paper", algorithm="meta-sgd", seeds=[1, 2], metric="mse",
    higher_is_better=False, adapted=1, command="make publish", commit="c0ffee1234", date="2026-11-27",
    machine="2 cores", torch="2.15",
    data="d", task_sets={5: "t"}, weights=["1", "2"], learner={},
    tasks={"stored": {"test_queries": 100}}, network={"kind": "mlp"},
    train={"iterations": 60000, "meta_batch": 4}, notes=["a note"], chosen_iterations=[1, 2],
    seconds=[60.0, 90.0],
    numbers=[number(3.0, step=0), number(0.9)],
    worth=[Worth("mean", 3.2, 0.5, 0.25, [3.1, 3.3])],
)  # fmt: skip
MAML = replace(RECORD, algorithm="maml", numbers=[number(3.0, step=0), number(1.2)], worth=[])


@pytest.fixture(autouse=True)
def _published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "records", lambda: [MAML, RECORD])


def test_scores_stand_with_both_intervals_and_the_papers_value() -> None:
    head, _, first, second = tables.scores("sinusoid-5shot-paper").split("\n")
    assert head.endswith("| after one step | over seeds | the paper |")
    name = "sinusoid-5shot-paper | 5 | meta-sgd"
    assert first == f"| {name} | 3.000 | **0.900 ± 0.050** | ± 0.127 (2 seeds) | 0.90 ± 0.16 |"
    assert " maml " in second


def test_several_steps_are_said() -> None:
    record = replace(RECORD, adapted=5, numbers=[number(3.0, step=0), number(0.9, step=5)])
    assert tables._score_row(record, 5, None, served=False)[4] == "**0.900 ± 0.050** (5 steps)"


def test_a_curve_has_the_first_seeds_validation_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of six, every second one; the last is always there."""
    rows = [
        f"{iteration},0.5,{1 / iteration if iteration % 100 == 0 else ''}" for iteration in range(50, 601, 50)
    ]
    (tmp_path / "curve.csv").write_text("\n".join(["iteration,train_loss,validation", *rows]))
    monkeypatch.setattr(tables, "model_folder", lambda experiment, model: tmp_path)
    head, _, scores = tables.curve("sinusoid-5shot-paper", points=3).split("\n")
    assert head == "| 200 | 400 | 600 |"
    assert scores == "| 0.005 | 0.003 | 0.002 |"


def test_the_first_tasks_have_a_column() -> None:
    record = replace(RECORD, numbers=[*RECORD.numbers, number(0.8, tasks=100)])
    assert tables._score_row(record, 5, first=100, served=False)[-2] == "0.800 ± 0.050"


def test_as_served_has_a_column_where_it_differs() -> None:
    record = replace(RECORD, numbers=[*RECORD.numbers, number(1.1, protocol="served")])
    assert tables._score_row(record, 5, None, served=True)[-2] == "1.100 ± 0.050"
    assert tables._score_row(RECORD, 5, None, served=True)[-2] == ""


def test_algorithms_are_compared_seed_by_seed() -> None:
    """1.19 - 0.89 and 1.21 - 0.91: an error that is smaller by the same in both seeds."""
    assert tables.leads("sinusoid-5shot-paper").endswith("| +0.300 [+0.300, +0.300] |")


def test_one_seed_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(RECORD, seeds=[1], numbers=[number(3.0, 0, seeds=1), number(0.9, seeds=1)])
    monkeypatch.setattr(tables, "records", lambda: [MAML, alone])
    assert tables.leads("sinusoid-5shot-paper") == "Not published yet."
    assert "one seed" in tables.scores("sinusoid-5shot-paper")


def test_records_that_lack_something_have_an_empty_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    more = replace(MAML, worth=[Worth("a new ablation", 1.0, 0.5, None, [1.0])])
    monkeypatch.setattr(tables, "records", lambda: [more, RECORD])
    rows = tables.worth("sinusoid-5shot-paper").split("\n")[2:]
    assert [row.count("|  |") for row in rows] == [1, 1]
    assert "| a new ablation |" in rows[1]
    assert tables.scores("sinusoid-5shot-paper", first=100).count("|  |") == 2
    assert tables.scores("not-published") == "Not published yet."


def test_scores_of_other_tasks_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "records", lambda: [replace(MAML, task_sets={5: "other"}), RECORD])
    assert tables.leads("sinusoid-5shot-paper") == "Not published yet."


def test_models_stand_beside_those_that_were_trained_for_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = replace(RECORD, experiment="another", scored_on="sinusoid-5shot-paper", numbers=MAML.numbers)
    monkeypatch.setattr(tables, "records", lambda: [foreign, RECORD])
    row = "| another | sinusoid-5shot-paper | meta-sgd | 3.000 | 1.200 ± 0.050 |  | 0.900 ± 0.050 |"
    assert tables.transfer().split("\n")[2:] == [row]


def test_what_alpha_is_worth() -> None:
    assert tables.worth("sinusoid-5shot-paper").split("\n")[2] == (
        "| one value for all parameters, its mean | +3.200 [+2.700, +3.700], [+2.950, +3.450] over seeds |"
    )


def test_origins_are_told_once_for_what_was_measured_together() -> None:
    assert tables.origins("sinusoid-5shot-paper") == (
        "- sinusoid-5shot-paper (meta-sgd and maml): `make publish`, commit c0ffee1, "
        "2026-11-27, seeds 1 and 2, 2 cores, torch 2.15; a training took 1 min 00 s to 1 min 30 s"
    )
    assert tables.protocols("sinusoid-5shot-paper") == (
        "- sinusoid-5shot-paper (meta-sgd and maml): 60,000 iterations of 4 tasks; a note"
    )


def test_experiments_are_named_with_their_algorithms() -> None:
    others = [replace(one, experiment="other") for one in (RECORD, MAML)]
    assert tables._names([RECORD, MAML, *others]) == "sinusoid-5shot-paper and other (meta-sgd and maml)"
    assert tables._names([RECORD, others[1]]) == "sinusoid-5shot-paper (meta-sgd); other (maml)"


def test_readmes_table_names_what_is_published_only() -> None:
    shown = tables.headline(("sine", "sinusoid-5shot-paper", 5), ("more", "not-published", 1))
    assert shown.split("\n")[2:] == [
        "| sine | mean squared error, lower is better | 0.900 ± 0.050, ± 0.127 over seeds | the same | 2 "
        "| 0.90 ± 0.16 | 60,000 iterations, 100 points score a curve |"
    ]


def test_readmes_table_says_what_decides_a_score() -> None:
    network = {"kind": "convnet", "filters": 64, "normalisation": "transductive", "head": "shared"}
    pictures = replace(RECORD, network=network, tasks={"stored": {"test_queries": 1}})
    assert (
        tables._conditions(pictures)
        == "64 filters, transductive batch norm, shared classifier, 1 query per class"
    )
    policies = replace(RECORD, network={"kind": "policy", "least_std": 0.75})
    assert tables._conditions(policies).startswith("standard deviation above 0.75; docs/navigation.md")


def test_readmes_table_says_what_a_user_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As served on the reported shots; other shots are not scored so, and say nothing."""
    served = [number(0.7, protocol="served"), number(0.5, shots=10)]
    record = replace(RECORD, numbers=[*RECORD.numbers, *served])
    assert tables._headline_row("sine", record, 5)[3] == "0.700 ± 0.050"
    assert tables._headline_row("sine", record, 10)[3] == ""


def test_every_step_of_a_policy_is_shown() -> None:
    """A return has a minus sign and two decimals."""
    numbers = [number(-40.0, 0, shots=20), number(-8.0, 1, shots=20), number(-200.0, 2, shots=20)]
    record = replace(RECORD, experiment="navigation", metric="return", higher_is_better=True, numbers=numbers)
    row = tables._step_row(record, [0, 1, 2])
    assert row[2:] == [
        f"{MINUS}8.01 / {MINUS}7.99",
        f"{MINUS}40.00 ± 0.05",
        f"{MINUS}8.00 ± 0.05",
        f"{MINUS}200.00 ± 0.05",
    ]
