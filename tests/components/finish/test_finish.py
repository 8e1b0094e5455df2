"""The MLflow run of a pipeline run: opened by the first step, shared by all, ended by the last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.finish.step import finish
from components.tracking.client import PIPELINES, experiment_id
from components.tracking.parents import find_parent, make_parent
from components.tracking.runs import open_run
from metasgd.errors import InputError
from tests.pipelines.kubeflow.kfp_server import RUN_ID, TOKEN, Answers, serve
from tests.pipelines.kubeflow.recorded import recorded


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A store of the test's own, and a Kubeflow run that the environment names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", RUN_ID)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def answers() -> Answers:
    return Answers(token=None)


@pytest.fixture
def api(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The Kubeflow API, as the environment of the last step names it."""
    with serve(answers) as host:
        monkeypatch.setenv("METASGD_KFP_API", host)
        yield host


def parent_of(client: MlflowClient, name: str) -> str:
    with open_run("sinusoid", name, {}) as run:
        pass
    return str(client.get_run(run.run_id).data.tags["mlflow.parentRunId"])


def left_running(client: MlflowClient, name: str) -> str:
    """A run that a pod opened, which was then lost without a word."""
    with open_run("sinusoid", name, {}) as run:
        pass
    client.update_run(run.run_id, status="RUNNING")
    return run.run_id


def status(client: MlflowClient, run_id: str) -> str:
    return str(client.get_run(run_id).info.status)


def test_steps_of_one_pipeline_run_share_a_parent(client: MlflowClient) -> None:
    """The first step opens it, the second finds it, and no step ends it."""
    first, second = parent_of(client, "one"), parent_of(client, "two")
    assert first == second
    assert status(client, first) == "RUNNING"


def test_another_pipeline_run_has_another_parent(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = parent_of(client, "one")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "77aa")
    assert parent_of(client, "two") != first


def test_two_steps_at_the_same_time_keep_the_older_parent(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either had made one: the later one deletes its own and takes the other's."""
    place = experiment_id(client, PIPELINES)
    older = make_parent(client, place, "5f2c")
    answers = iter([None])
    monkeypatch.setattr(
        "components.tracking.parents.find_parent", lambda *about: next(answers, find_parent(*about))
    )
    assert make_parent(client, place, "5f2c") == older
    assert len(client.search_runs([place])) == 1


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("COMPLETE", "FINISHED"),
        ("CACHED", "FINISHED"),
        ("RUNNING", "FAILED"),
        ("FAILED", "FAILED"),
        ("SUCCEEDED", "FINISHED"),
        ("CANCELED", "KILLED"),
    ],
)
def test_the_last_step_ends_it_by_the_word_of_mlmd(
    client: MlflowClient, word: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """COMPLETE is what a real cluster says after success, and RUNNING after a failure or a termination."""
    parent = parent_of(client, "one")
    finish(word)
    assert status(client, parent) == expected
    assert "warning" not in capsys.readouterr().out


def test_an_unknown_word_is_said_and_a_failure(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = parent_of(client, "one")
    finish("WHATEVER")
    assert status(client, parent) == "FAILED"
    assert "warning: Kubeflow says 'WHATEVER' of the steps before" in capsys.readouterr().out


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("answer", "word", "expected"),
    [
        ("two-lanes-running", "COMPLETE", "FINISHED"),
        ("two-lanes-running", "RUNNING", "FINISHED"),
        ("eight-trainings-while-finishing", "CACHED", "FINISHED"),
        ("succeeded-after-a-retried-pod", "COMPLETE", "FINISHED"),
        ("failed-after-retries", "RUNNING", "FAILED"),
        ("failed-after-retries", "COMPLETE", "FAILED"),
        ("failed-driver", "RUNNING", "FAILED"),
        ("cancelled", "RUNNING", "KILLED"),
    ],
)
def test_kubeflow_knows_better_than_one_word(
    client: MlflowClient, answers: Answers, answer: str, word: str, expected: str
) -> None:
    """It tells a failure from a termination, for which there is one word."""
    answers.runs = [recorded(answer)]
    parent = parent_of(client, "one")
    finish(word)
    assert status(client, parent) == expected


@pytest.mark.usefixtures("api")
def test_a_kubeflow_that_is_behind_leaves_it_to_the_word(client: MlflowClient, answers: Answers) -> None:
    """Its answers lag by seconds: the steps may be over before it says so."""
    behind = recorded("two-lanes-running")
    for task in behind["run_details"]["task_details"]:
        if task.get("display_name") == "exit-handler-1":
            task["state"] = "RUNNING"
    answers.runs = [behind]
    parent = parent_of(client, "one")
    finish("COMPLETE")
    assert status(client, parent) == "FINISHED"


@pytest.mark.usefixtures("api")
def test_where_kubeflow_tells_the_word_is_not_talked_of(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = parent_of(client, "one")
    finish("WHATEVER")
    assert status(client, parent) == "FINISHED"
    assert "warning" not in capsys.readouterr().out


@pytest.mark.usefixtures("api")
def test_the_last_attempt_of_all_steps_decides(client: MlflowClient, answers: Answers) -> None:
    """Argo can try the whole again."""
    document = recorded("succeeded-after-a-retried-pod")
    tasks = document["run_details"]["task_details"]
    (handled,) = [task for task in tasks if task.get("display_name") == "exit-handler-1"]
    tasks.insert(0, {**handled, "state": "FAILED", "start_time": "2026-11-25T00:00:00Z"})
    answers.runs = [document]
    parent = parent_of(client, "one")
    finish("COMPLETE")
    assert status(client, parent) == "FINISHED"


def test_a_training_that_failed_in_mlflow_outweighs_one_word(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError), open_run("sinusoid", "a training", {}) as run:
        raise ZeroDivisionError
    parent = str(client.get_run(run.run_id).data.tags["mlflow.parentRunId"])
    finish("COMPLETE")
    assert status(client, parent) == "FAILED"
    assert "a training: FAILED in MLflow" in capsys.readouterr().out


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    "everything", [(401, b"", {}), (500, b"{}", {}), (200, b"<html>", {}), (200, b"[]", {})]
)
def test_a_kubeflow_that_does_not_tell_is_said(
    client: MlflowClient,
    answers: Answers,
    everything: tuple[int, bytes, dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers.everything = everything
    parent = parent_of(client, "one")
    finish("COMPLETE")
    assert status(client, parent) == "FINISHED"
    assert "warning: the Kubeflow API does not say how the run went" in capsys.readouterr().out


@pytest.mark.usefixtures("api")
def test_with_many_users_the_pod_shows_its_token(
    client: MlflowClient, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file that Kubeflow mounts."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    answers.token, answers.runs = TOKEN, [recorded("cancelled")]
    parent = parent_of(client, "one")
    finish("RUNNING")
    assert status(client, parent) == "KILLED"


@pytest.mark.usefixtures("api")
def test_an_mlflow_that_refuses_does_not_hide_how_the_run_went(
    client: MlflowClient,
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The verdict stands in the log before MLflow is asked for anything."""
    answers.runs = [recorded("cancelled")]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI"):
        finish("RUNNING")
    assert f"the pipeline run {RUN_ID}: KILLED" in capsys.readouterr().out


def test_runs_of_lost_pods_are_killed(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this pipeline run that are still open; another one's go on."""
    mine = left_running(client, "mine")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "77aa")
    other = left_running(client, "another's")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", RUN_ID)
    finish("COMPLETE")
    assert status(client, mine) == "KILLED"
    assert status(client, other) == "RUNNING"


def test_lost_pods_below_the_plugins_runs_are_killed_too(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(client, "one")
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    mine = left_running(client, "mine")
    finish("COMPLETE")
    assert status(client, mine) == "KILLED"
    assert status(client, parent) == "RUNNING"


@pytest.mark.parametrize("whose", ["METASGD_PARENT_RUN_ID", "MLFLOW_RUN_ID"])
def test_what_somebody_else_opened_is_left_to_them(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """The launcher's run, and that of Kubeflow's MLflow plugin."""
    parent = parent_of(client, "one")
    monkeypatch.setenv(whose, parent)
    finish("COMPLETE")
    assert status(client, parent) == "RUNNING"


def test_a_run_whose_steps_all_came_from_the_cache_has_nothing_to_end(client: MlflowClient) -> None:
    finish("CACHED")
    assert client.search_runs([experiment_id(client, PIPELINES)]) == []
