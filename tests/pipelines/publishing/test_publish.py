"""Published numbers: what they are, and that anybody can check them without training."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.artifacts.results import Result, read_json
from components.config.code import ROOT
from components.kinds.experiment import load_experiment
from components.serving.models import open_model
from metasgd.errors import InputError
from pipelines.publishing import publish as publishing
from pipelines.publishing import rescore
from pipelines.publishing.machine import machine
from pipelines.publishing.publish import publish
from pipelines.publishing.record import Record, model_folder, read_record, records, write_record
from pipelines.publishing.transfer import transfer
from tests.components.lane import PARAMS, experiment, store

SEEDS = [1, 2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a tiny experiment published: two algorithms, two seeds."""
    folder = tmp_path_factory.mktemp("checkout")
    with store(folder):
        kept = folder / "kept"
        publish(experiment(), SEEDS, "make publish SEEDS='1 2'", "c0ffee", first=3, root=folder, kept=kept)
        yield folder


def record(checkout: Path, algorithm: str = "meta-sgd") -> Record:
    return read_record(checkout / "results" / "sinusoid-5shot" / f"{algorithm}.json")


def test_a_record_says_how_a_number_came_about(checkout: Path) -> None:
    found = record(checkout)
    assert (found.seeds, found.command, found.commit) == (SEEDS, "make publish SEEDS='1 2'", "c0ffee")
    assert found.machine == machine()
    assert found.train["iterations"] == 20
    assert len(found.chosen_iterations) == len(found.seconds) == len(SEEDS)
    assert {(one.shots, one.step, one.tasks) for one in found.numbers} == {
        (shots, step, tasks) for shots in (5, 10) for step in (0, 1) for tasks in (8, 3)
    }
    assert "layer-means" in {one.ablation for one in found.worth}
    assert record(checkout, "maml").worth == []
    assert [one.algorithm for one in records(checkout)] == ["maml", "meta-sgd"]


def test_numbers_are_those_of_the_steps(checkout: Path) -> None:
    """The means in the results folder that evaluate wrote."""
    for seed, mean in zip(SEEDS, record(checkout).number(5).by_seed, strict=True):
        path = checkout / "kept" / "results-sinusoid-5shot" / f"meta-sgd-seed{seed}.json"
        assert read_json(Result, path).after.mean == pytest.approx(mean, abs=1e-12)


def test_a_published_model_is_used_by_its_folder(checkout: Path) -> None:
    """It holds nothing of the machine that trained it, and its card says how it is called."""
    folder = model_folder("sinusoid-5shot", "meta-sgd-seed2", checkout)
    assert {path.name for path in folder.iterdir()} == {
        "weights.safetensors", "checkpoint.json", "curve.csv", "README.md", ".written.json",
    }  # fmt: skip
    assert (open_model(str(folder)).algorithm, open_model(str(folder)).seed) == ("meta-sgd", 2)
    assert "make predict MODEL=models/sinusoid-5shot/meta-sgd-seed2" in (folder / "README.md").read_text()


def test_models_score_again_as_published(checkout: Path) -> None:
    """Without training, and to the last digit on the same machine."""
    for found in records(checkout):
        checks = list(rescore.rescored(found, checkout, checkout / "elsewhere"))
        assert len(checks) == len(found.numbers)
        assert all(check.holds for check in checks)
        assert [check.here.mean for check in checks] == [check.published.mean for check in checks]


def test_a_number_that_does_not_hold_is_found(checkout: Path) -> None:
    found = record(checkout)
    first, *others = found.numbers
    better = replace(first, by_seed=[first.by_seed[0], first.by_seed[1] - 0.2 * first.over_tasks])
    altered = replace(found, numbers=[better, *others])
    holds = [check.holds for check in rescore.rescored(altered, checkout, checkout / "kept")]
    assert holds == [False, *[True] * (len(holds) - 1)]


def test_models_and_data_have_to_be_the_published_ones(checkout: Path, tmp_path: Path) -> None:
    found = record(checkout)
    with pytest.raises(InputError, match="the data here are"):
        list(rescore.rescored(replace(found, data="0" * 64), checkout, checkout / "kept"))
    with pytest.raises(InputError, match="meta-sgd-seed9"):
        list(rescore.rescored(replace(found, seeds=[9]), checkout, checkout / "kept"))


def test_a_repeated_publication_trains_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.publishing.trainings.train", lambda *_: pytest.fail("trained again"))
    before = record(checkout)
    publish(experiment(), SEEDS, "again", "c0ffee", 3, root=checkout, kept=checkout / "kept")
    assert record(checkout) == replace(before, command="again")
    write_record(before, checkout)


def test_the_command_is_written_as_make_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--experiments", "a", "b", "--seeds", "1", "2", "--set", "x=[1, 2]", "--first", "100"]
    options = publishing._parser().parse_args(arguments)
    assert (
        publishing._command(options) == "make publish EXPERIMENTS='a b' SEEDS='1 2' SET='x=[1, 2]' FIRST=100"
    )


def test_unknown_experiments_are_named(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> None:
    monkeypatch.setattr(rescore, "records", lambda: list(records(checkout)))
    with pytest.raises(InputError, match="'nothing' is not published; expected one of sinusoid-5shot"):
        rescore._chosen(["nothing"])


def test_every_published_model_in_this_tree_is_whole() -> None:
    """Every record has its models, each of fewer than a million bytes, and every model its record."""
    published = {
        str(model_folder(one.experiment, name).relative_to(ROOT)) for one in records() for name in one.models
    }
    listed = subprocess.run(
        ["git", "ls-files", "models"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {str(Path(name).parent) for name in listed} == published
    for name in published:
        mark = json.loads((ROOT / name / ".written.json").read_text())
        assert all((ROOT / name / file).stat().st_size < 1_000_000 for file in mark["files"])


def test_models_are_scored_on_each_others_tasks(checkout: Path) -> None:
    """Beside their own record, in one that says what was scored; it can be scored again, too."""
    own = record(checkout)
    other = experiment("tasks.distribution.frequency=[2.0, 3.0]")
    path = transfer(
        own, replace(other, name="faster"), "make transfer", "c0ffee", checkout, checkout / "kept"
    )
    assert path == checkout / "results" / "sinusoid-5shot" / "meta-sgd-on-faster.json"
    found = read_record(path)
    assert (found.scored_on, found.models) == ("faster", own.models)
    assert found.data != own.data
    assert found.number(5).by_seed != own.number(5).by_seed
    path.unlink()


def test_tasks_of_another_shape_are_refused(checkout: Path) -> None:
    few = [f"tasks.stored.{name}=2" for name in ("validation", "gate", "test")]
    policies = load_experiment("navigation-short", few, PARAMS)
    with pytest.raises(InputError, match=r"was trained for .*regression.*; expected .*control"):
        transfer(record(checkout), policies, "make transfer", "c0ffee", checkout, checkout / "kept")
