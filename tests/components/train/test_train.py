"""The train step: a checkpoint, and an MLflow run that says how it came about."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.artifacts.checkpoint import CURVE
from components.artifacts.results import METRICS
from components.artifacts.runs import RUN
from components.config.parsing import to_document
from components.console.progress import PROGRESS, READ
from components.evaluate.step import evaluate
from components.tracking.outbox import Outbox
from components.train.step import train
from components.train.tuning import best_rate, tune
from metasgd.checkpoint import ABOUT, WEIGHTS, load_checkpoint
from metasgd.errors import DivergedError, InputError
from metasgd.own_folder import MARK
from tests.components.lane import Lane, artifacts, experiment, read, run_of


def test_the_checkpoint_is_whole(lane: Lane) -> None:
    """Weights, description, curve and run id; nothing else, and nothing half-written beside them."""
    checkpoint = lane.checkpoint()
    assert {path.name for path in checkpoint.iterdir()} == {MARK, WEIGHTS, ABOUT, CURVE, RUN}
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    learner, meta, about = load_checkpoint(checkpoint)
    assert learner.settings == lane.training().learner
    assert meta.alpha.keys() == meta.theta.keys()
    assert about["training"] == to_document(lane.training())
    assert about["data"] == read(lane.episodes / "manifest.json")["data"]
    assert about["chosen_iteration"] in (10, 20)
    assert (about["device"], about["compiled"]) == ("cpu", False)


def test_the_curve_is_that_of_the_run(lane: Lane, client: MlflowClient) -> None:
    """20 points, validated at 10 and 20; MLflow has the same numbers, and the best one was chosen."""
    curve = pd.read_csv(lane.checkpoint() / CURVE)
    assert curve["iteration"].tolist() == list(range(1, 21))
    validated = curve.dropna()
    assert validated["iteration"].tolist() == [10, 20]
    _, _, about = load_checkpoint(lane.checkpoint())
    best = validated.sort_values("validation")["iteration"].tolist()[0]
    assert about["chosen_iteration"] == best
    run = run_of(client, lane.checkpoint()).info.run_id
    for metric, column in (("train_loss", curve), ("validation_mse", validated)):
        history = sorted((m.step, m.value) for m in client.get_metric_history(run, metric))
        values = column["train_loss" if metric == "train_loss" else "validation"]
        assert history == list(zip(column["iteration"], values, strict=True))


def test_the_run_says_everything_that_was_chosen(lane: Lane, client: MlflowClient) -> None:
    """Parameters under the keys that change them, tags to find it by, the checkpoint as artifact.

    What no training changes is in the checkpoint alone.
    """
    run = run_of(client, lane.checkpoint())
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "meta-sgd seed 1, 20 iterations, sinusoid-5shot"
    assert client.get_experiment(run.info.experiment_id).name == "sinusoid"
    params = run.data.params
    assert params["train.iterations"] == "20"
    assert params["network.hidden"] == "[8]"
    assert params["learner.alpha"] == "per-parameter"
    assert params["tasks.distribution.shots"] == "5"
    assert not {"train.threads", "tasks.seed", "tasks.stored.gate"} & params.keys()
    tags = run.data.tags
    assert (tags["experiment"], tags["algorithm"], tags["seed"]) == ("sinusoid-5shot", "meta-sgd", "1")
    assert tags["data"] == read(lane.episodes / "manifest.json")["data"]
    assert (tags["device"], tags["compiled"]) == ("cpu", "False")
    names = {f"checkpoint/{name}" for name in (MARK, WEIGHTS, ABOUT, CURVE, RUN)}
    assert artifacts(client, run.info.run_id) == names


def test_the_run_says_what_was_chosen_what_it_took_and_what_it_saw(lane: Lane, client: MlflowClient) -> None:
    """The chosen checkpoint's validation score, its iteration, time and memory; the data, counted."""
    run = run_of(client, lane.checkpoint())
    metrics, about = run.data.metrics, read(lane.checkpoint() / ABOUT)["about"]
    validated = pd.read_csv(lane.checkpoint() / CURVE).dropna()
    assert metrics["validation_mse_chosen"] == validated["validation"].min()
    assert metrics["chosen_iteration"] == about["chosen_iteration"]
    assert metrics["seconds"] == read(lane.checkpoint() / RUN)["seconds"]
    assert metrics["system/cpu_seconds"] > 0
    assert 100 < metrics["system/peak_memory_megabytes"] < 100_000, "a process with torch"
    (used,) = run.inputs.dataset_inputs
    assert json.loads(used.dataset.profile) == {"validation_tasks": 5, "gate_tasks": 30, "test_tasks": 8}
    assert read(lane.episodes / "manifest.json")["data"].startswith(used.dataset.digest)
    assert "**meta-sgd**" in run.data.tags["mlflow.note.content"]


def test_trained_again_the_weights_are_the_same_bytes(
    lane: Lane,
    client: MlflowClient,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same parameters, episodes and seed, in a run of its own; progress in lines for the launcher."""
    monkeypatch.setenv(PROGRESS, READ)
    train(lane.training(), lane.episodes, tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert read(tmp_path / "again" / RUN) != read(lane.checkpoint() / RUN)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::progress::")]
    assert len(lines) == 20
    assert lines[-1].startswith("::progress::sinusoid-5shot meta-sgd seed 1|20|20|train_loss ")
    train(lane.training(seed=2), lane.episodes, tmp_path / "again")  # takes the place of the former
    assert (tmp_path / "again" / WEIGHTS).read_bytes() != (lane.checkpoint() / WEIGHTS).read_bytes()


def test_an_interrupted_step_continues(
    lane: Lane, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something fails at iteration 15; called again with its state, the step ends the same.

    Only the same training continues from it, and when it is over, the state is gone.
    """
    log = Outbox.log_metrics

    def fails(run: Outbox, values: dict[str, float], step: int = 0) -> None:
        if step == 15:
            raise ConnectionError("no network")
        log(run, values, step)

    output, state = tmp_path / "checkpoint", tmp_path / "state"
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "log_metrics", fails)
        with pytest.raises(ConnectionError):
            train(lane.training(), lane.episodes, output, state)
    assert not output.exists()
    failed = client.search_runs([_experiment(client)], "attributes.status = 'FAILED'", max_results=1)
    assert failed[0].info.run_name == "meta-sgd seed 1, 20 iterations, sinusoid-5shot"
    with pytest.raises(InputError, match="state of run"):
        train(lane.training(seed=2), lane.episodes, tmp_path / "other", state)
    train(lane.training(), lane.episodes, output, state)
    assert (output / WEIGHTS).read_bytes() == (lane.checkpoint() / WEIGHTS).read_bytes()
    assert (output / CURVE).read_bytes() == (lane.checkpoint() / CURVE).read_bytes()
    assert not state.exists()


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name("sinusoid")
    assert found is not None
    return str(found.experiment_id)


def test_a_diverging_training_keeps_its_last_good_checkpoint(
    lane: Lane, client: MlflowClient, tmp_path: Path
) -> None:
    """A rate that explodes: one line that names the iteration, the start as checkpoint, the run FAILED."""
    training = experiment("train.rate=1e30").training("meta-sgd", 1)
    with pytest.raises(DivergedError, match="iteration 2; ") as caught:
        train(training, lane.episodes, tmp_path / "checkpoint")
    assert "\n" not in str(caught.value)
    _, meta, about = load_checkpoint(tmp_path / "checkpoint")
    assert about["chosen_iteration"] == 0
    assert all(bool(value.isfinite().all()) for part in meta for value in part.values())
    assert run_of(client, tmp_path / "checkpoint").info.status == "FAILED"


def test_what_diverged_at_once_can_be_evaluated(lane: Lane, client: MlflowClient, tmp_path: Path) -> None:
    """A curve without any point yet is no reason to refuse the checkpoint that was kept."""
    training = experiment("train.rate=1e30", "train.iterations=400").training("meta-sgd", 1)
    with pytest.raises(DivergedError):
        train(training, lane.episodes, tmp_path / "checkpoint")
    evaluate([tmp_path / "checkpoint"], lane.episodes, tmp_path / "results")
    assert (tmp_path / "results" / METRICS / "meta-sgd-seed1.json").is_file()


def test_an_untrained_reference_is_its_random_start(lane: Lane, client: MlflowClient, tmp_path: Path) -> None:
    """from-scratch needs no training, and still leaves a checkpoint and a run."""
    train(lane.training("from-scratch"), lane.episodes, tmp_path / "checkpoint")
    learner, _, about = load_checkpoint(tmp_path / "checkpoint")
    assert learner.settings.is_reference
    assert about["chosen_iteration"] == 0
    assert run_of(client, tmp_path / "checkpoint").info.status == "FINISHED"


def test_missing_episodes_are_refused_before_a_run_is_opened(
    lane: Lane, client: MlflowClient, tmp_path: Path
) -> None:
    """One line about the folder; no run, no output."""
    before = len(client.search_runs([_experiment(client)]))
    with pytest.raises(InputError, match=r"manifest\.json: no such file"):
        train(lane.training(), tmp_path / "nowhere", tmp_path / "checkpoint")
    assert len(client.search_runs([_experiment(client)])) == before
    assert not (tmp_path / "checkpoint").exists()


def test_a_long_run_without_a_compiler_says_so(
    lane: Lane,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, and the run is eager; the same strategy is in the checkpoint."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    train(experiment("train.compile_from=1").training("maml", 1), lane.episodes, tmp_path / "checkpoint")
    assert "no C++ compiler with Python's headers here, so it runs eagerly" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "checkpoint")[2]["compiled"] is False


def test_tuning_scores_rates_on_validation_tasks(lane: Lane) -> None:
    """A score per rate, by the checkpoint that the rate's training chose; NaN where it diverged."""
    scores, higher_is_better = tune(lane.training("maml"), [0.001, 1e30], lane.episodes)
    assert not higher_is_better
    assert list(scores) == [0.001, 1e30]
    assert 0 < scores[0.001] < 50
    assert math.isnan(scores[1e30])
    assert best_rate(scores, higher_is_better=False) == 0.001


def test_best_rate() -> None:
    """The lowest error or the highest accuracy; none where all diverged."""
    scores = {0.1: 2.0, 0.2: 1.0, 0.4: math.nan, 0.8: 3.0}
    assert best_rate(scores, higher_is_better=False) == 0.2
    assert best_rate(scores, higher_is_better=True) == 0.8
    assert best_rate({0.4: math.nan}, higher_is_better=True) is None
