"""Published numbers: what they are, and that anybody can check them without training."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.artifacts.results import Result, read_json
from components.config.code import ROOT
from components.config.machine import machine
from components.config.parsing import to_document
from components.kinds.experiment import load_experiment
from components.serving.models import open_model
from metasgd.checkpoint import WEIGHTS, load_checkpoint
from metasgd.errors import DivergedError, InputError
from metasgd.own_folder import is_whole
from pipelines.publishing import checks, rescore
from pipelines.publishing import publish as publishing
from pipelines.publishing.crossing import pairs, transfer
from pipelines.publishing.publication import publish
from pipelines.publishing.record import Record, model_folder, read_record, records, write_record
from tests.components.lane import PARAMS, experiment, store

SEEDS = [1, 2]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With a tiny experiment published: two algorithms, two seeds."""
    folder = tmp_path_factory.mktemp("checkout")
    with store(folder):
        kept = folder / "kept"
        publish(experiment(), SEEDS, "make publish SEEDS='1 2'", "c0ffee", 3, root=folder, kept=kept)
        yield folder


def record(checkout: Path, algorithm: str = "meta-sgd") -> Record:
    return read_record(checkout / "results" / "sinusoid-5shot" / f"{algorithm}.json")


def rescored(found: Record, root: Path) -> list[checks.Check]:
    return list(checks.rescored(found, root, root / "kept"))


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
        own = list(checks.rescored(found, checkout, checkout / "elsewhere"))
        assert len(own) == len(found.numbers) + len(found.worth)
        assert all(check.holds for check in own)
        assert [check.here.mean for check in own] == [check.published.mean for check in own]


@pytest.mark.parametrize("field", ["mean", "over_tasks", "over_seeds", "by_seed"])
@pytest.mark.parametrize("kind", ["numbers", "worth"])
def test_a_number_that_does_not_hold_is_found(checkout: Path, kind: str, field: str) -> None:
    """Whatever of it is altered by a fifth of its interval over tasks."""
    found = record(checkout)
    first, *others = getattr(found, kind)
    value, off = getattr(first, field), 0.2 * first.over_tasks
    wrong = [value[0], value[1] - off] if field == "by_seed" else value + off
    altered = replace(found, **{kind: [replace(first, **{field: wrong}), *others]})
    wrong_ones = [check for check in rescored(altered, checkout) if not check.holds]
    assert [check.published for check in wrong_ones] == [getattr(altered, kind)[0]]


def test_models_and_tasks_have_to_be_the_published_ones(checkout: Path, tmp_path: Path) -> None:
    found = record(checkout)
    with pytest.raises(InputError, match="the test tasks here are others"):
        rescored(replace(found, task_sets={5: "0" * 64}), checkout)
    with pytest.raises(InputError, match="meta-sgd-seed9: missing or damaged"):
        rescored(replace(found, seeds=[1, 9]), checkout)
    with pytest.raises(InputError, match="its weights are not those of sinusoid-5shot meta-sgd"):
        rescored(replace(found, weights=["0" * 64, *found.weights[1:]]), checkout)
    copy = tmp_path / "checkout"
    shutil.copytree(checkout / "models", copy / "models")
    with (
        model_folder("sinusoid-5shot", "meta-sgd-seed1", copy)
        .joinpath("weights.safetensors")
        .open("ab") as file
    ):
        file.write(b"0")
    with pytest.raises(InputError, match="meta-sgd-seed1: missing or damaged"):
        rescored(found, copy)


def test_without_its_pictures_a_record_is_left_out(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And said; with nothing left, that is an error."""
    pictures = replace(
        record(checkout), tasks=to_document(load_experiment("omniglot-5way-1shot", [], PARAMS).tasks)
    )
    with pytest.raises(checks.NoDataError):
        rescored(pictures, checkout)
    monkeypatch.setattr(checks, "records", lambda: [pictures])
    monkeypatch.setattr(checks, "model_folder", lambda *names: model_folder(*names[:2], checkout))
    monkeypatch.setattr("sys.argv", ["rescore"])
    with pytest.raises(InputError, match="nothing could be scored"):
        rescore.main()


def test_the_command_tells_what_holds(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = record(checkout)
    monkeypatch.setattr(checks, "model_folder", lambda *names: model_folder(*names[:2], checkout))
    monkeypatch.setattr("sys.argv", ["rescore"])
    monkeypatch.setattr(checks, "records", lambda: [found])
    rescore.main()
    count = len(found.numbers) + len(found.worth)
    assert f"{count} of {count} published numbers hold here" in capsys.readouterr().out
    worse = replace(found.numbers[0], mean=found.numbers[0].mean + 100.0)
    monkeypatch.setattr(checks, "records", lambda: [replace(found, numbers=[worse])])
    with pytest.raises(InputError, match="1 numbers differ"):
        rescore.main()
    assert "DIFFERS" in capsys.readouterr().out


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
    monkeypatch.setattr(checks, "records", lambda: list(records(checkout)))
    with pytest.raises(InputError, match="'nothing' is not published; expected one of sinusoid-5shot"):
        checks.chosen(["nothing"])


def test_every_published_model_in_this_tree_is_whole() -> None:
    """Every record has the models that it names, of fewer than a million bytes, and every model a record."""
    published = {
        str(model_folder(one.experiment, name).relative_to(ROOT)) for one in records() for name in one.models
    }
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "models").glob("*/*")} == published
    for name in published:
        load_checkpoint(ROOT / name)
    for one in records():
        for name, weights in zip(one.models, one.weights, strict=True):
            folder = model_folder(one.experiment, name)
            assert is_whole(folder)
            assert all(file.stat().st_size < 1_000_000 for file in folder.iterdir())
            assert hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() == weights


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
    assert all(check.holds for check in rescored(found, checkout))
    path.unlink()


def test_pairs_of_experiments(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every published record with every other experiment; what is not published is scored on all the same."""
    monkeypatch.chdir(ROOT)
    names = ["sinusoid-5shot", "sinusoid-5shot-paper"]
    assert [(one.algorithm, other.name) for one, other in pairs(names, checkout)] == [
        ("maml", "sinusoid-5shot-paper"),
        ("meta-sgd", "sinusoid-5shot-paper"),
    ]
    for wrong in (names[:1], names[:1] * 2):
        with pytest.raises(InputError, match="expected two or more, each once"):
            pairs(wrong, checkout)
    with pytest.raises(InputError, match="none is published"):
        pairs(["navigation", "navigation-varying"], checkout)


def test_a_new_publication_withdraws_the_one_before(checkout: Path, tmp_path: Path) -> None:
    """With fewer seeds, no model is left of the others, and nothing that was scored with them."""
    for part in ("models", "results"):
        shutil.copytree(checkout / part, tmp_path / part)
    write_record(replace(record(tmp_path), scored_on="elsewhere"), tmp_path)
    publish(experiment(), [2], "fewer", "c0ffee", root=tmp_path, kept=checkout / "kept")
    assert {path.name for path in (tmp_path / "models" / "sinusoid-5shot").iterdir()} == {
        "meta-sgd-seed2",
        "maml-seed2",
    }
    assert {path.name for path in (tmp_path / "results" / "sinusoid-5shot").iterdir()} == {
        "meta-sgd.json",
        "maml.json",
    }
    assert all(check.holds for found in records(tmp_path) for check in rescored(found, tmp_path))


def test_a_diverged_training_is_not_published(tmp_path: Path) -> None:
    """Nor when the command is repeated, which finds what it left."""
    with store(tmp_path):
        diverging = experiment("train.rate=1e30")
        for _ in range(2):
            with pytest.raises(DivergedError):
                publish(diverging, [1], "make publish", "c0ffee", root=tmp_path, kept=tmp_path / "kept")
    assert list(records(tmp_path)) == []


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_the_first_tasks_are_a_number(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        publishing._parser().parse_args(["--first", count])
    assert "expected a number of tasks, 1 or more" in capsys.readouterr().err


def test_tasks_of_another_shape_are_refused(checkout: Path) -> None:
    few = [f"tasks.stored.{name}=2" for name in ("validation", "gate", "test")]
    policies = load_experiment("navigation-short", few, PARAMS)
    with pytest.raises(InputError, match=r"was trained for .*regression.*; expected .*control"):
        transfer(record(checkout), policies, "make transfer", "c0ffee", checkout, checkout / "kept")
