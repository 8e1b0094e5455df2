"""MLflow: runs end as they went, find their parent, and a server that fails says so in one line."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.config.code import git_commit
from components.config.environment import LOCAL, tracking_uri
from components.console.signals import Terminated
from components.tracking.patience import AwayError
from components.tracking.processes import this_process
from components.tracking.runs import find_run, flatten, open_run
from tests.components.lane import artifacts, store

SECRET = "sesame"  # of a server that lives for one test


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tracking")


@pytest.fixture
def client(folder: Path) -> Iterator[MlflowClient]:
    """A client of one sqlite store for all tests of this file."""
    with store(folder) as found:
        yield found


def test_the_default_store_is_local(client: MlflowClient, folder: Path) -> None:
    """Without MLFLOW_TRACKING_URI, runs go into .local here: sqlite, and files for the artifacts."""
    assert tracking_uri() == f"sqlite:///{folder}/.local/mlflow.db"
    with open_run("sinusoid", "a run", {}) as run:
        run.log_folder(_some_file(folder), "checkpoint")
    assert (folder / LOCAL / "mlflow.db").is_file()
    place = client.get_run(run.run_id).info.artifact_uri
    assert place.startswith((folder / LOCAL / "mlflow-artifacts" / "sinusoid").as_uri())
    assert artifacts(client, run.run_id) == {"checkpoint/weights"}


def _some_file(folder: Path) -> Path:
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files" / "weights").write_text("1 2 3")
    return folder / "files"


def test_a_run_holds_what_was_logged(client: MlflowClient) -> None:
    """Parameters as text, metrics by step, tags, its name, and the status FINISHED."""
    with open_run("sinusoid", "the name", {"seed": "1"}) as run:
        run.log_params({"train.rate": 0.001, "network.hidden": (40, 40)})
        run.log_metrics({"train_loss": 2.0}, step=1)
        run.log_metrics({"train_loss": 1.0}, step=2)
        run.set_tags({"chosen_iteration": 2})
    found = client.get_run(run.run_id)
    assert (found.info.run_name, found.info.status) == ("the name", "FINISHED")
    assert found.data.params == {"train.rate": "0.001", "network.hidden": "(40, 40)"}
    history = [(m.step, m.value) for m in client.get_metric_history(run.run_id, "train_loss")]
    assert history == [(1, 2.0), (2, 1.0)]
    assert found.data.tags["seed"] == "1"
    assert found.data.tags["chosen_iteration"] == "2"
    assert found.data.tags["mlflow.source.git.commit"] == git_commit()
    assert "mlflow.parentRunId" not in found.data.tags


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (Terminated, "KILLED")]
)
def test_a_run_whose_body_raises_says_how_it_ended(
    client: MlflowClient, error: type[BaseException], status: str
) -> None:
    """The error goes on its way; an interruption is no failure."""
    with pytest.raises(error), open_run("sinusoid", "broken", {}) as run:
        raise error
    assert client.get_run(run.run_id).info.status == status


def test_a_run_is_continued(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry's row is that of the attempt before, below the parent of now; its last steps are known."""
    with open_run("sinusoid", "a training", {}) as first:
        first.log_metrics({"train_loss": 2.0, "validation": 3.0}, step=1)
        first.log_metrics({"train_loss": 1.0}, step=2)
    client.update_run(first.run_id, status="KILLED")
    monkeypatch.setenv("METASGD_PARENT_RUN_ID", "a" * 32)
    with open_run("sinusoid", "a training", {}, first.run_id) as second:
        assert second.run_id == first.run_id
        assert client.get_run(first.run_id).info.status == "RUNNING"
        assert second.last_steps() == {"train_loss": 2, "validation": 1}
    found = client.get_run(first.run_id)
    assert (found.info.status, found.data.tags["mlflow.parentRunId"]) == ("FINISHED", "a" * 32)


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_a_retry_finds_the_run_of_the_attempt_before_by_its_name(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """A pod that was lost before it kept a state; in another pipeline run, the name is another training's."""
    monkeypatch.setenv("METASGD_PARENT_RUN_ID", "a" * 32)
    monkeypatch.setenv("METASGD_PIPELINE_RUN", f"one {status}")
    with open_run("sinusoid", "a training", {}) as first:
        pass
    client.update_run(first.run_id, status=status)
    with open_run("sinusoid", "another", {}) as other:
        assert other.run_id != first.run_id
    with open_run("sinusoid", "a training", {}) as second:
        assert second.run_id == first.run_id
    monkeypatch.setenv("METASGD_PIPELINE_RUN", f"two {status}")
    with open_run("sinusoid", "a training", {}) as third:
        assert third.run_id != first.run_id


@pytest.mark.parametrize("how", ["finished", "deleted", "unknown", "at work elsewhere"])
def test_a_run_that_is_over_or_gone_is_not_continued(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with open_run("sinusoid", "a training", {}) as first:
        pass
    if how == "at work elsewhere":
        client.update_run(first.run_id, status="RUNNING")
        monkeypatch.setenv("METASGD_PARENT_RUN_ID", "a" * 32)
        monkeypatch.setenv("METASGD_PIPELINE_RUN", "another")
    if how == "deleted":
        client.update_run(first.run_id, status="KILLED")
        client.delete_run(first.run_id)
    with open_run("sinusoid", "a training", {}, "f" * 32 if how == "unknown" else first.run_id) as second:
        assert second.run_id != first.run_id


def test_what_a_dead_process_left_running_is_ended_by_the_next(client: MlflowClient) -> None:
    """A command that was killed without a word; not one that is at work, here or elsewhere."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    machine = this_process().partition(" ")[0]
    owners = {
        "dead": f"{machine} {process.pid}",
        "at work": this_process(),
        "elsewhere": f"elsewhere/pid:[1] {process.pid}",
    }
    made = {}
    for name, owner in owners.items():
        with open_run("sinusoid", name, {}) as run:
            made[name] = run.run_id
        client.update_run(run.run_id, status="RUNNING")
        client.set_tag(run.run_id, "process", owner)
    with open_run("sinusoid", "the next", {}):
        found = {name: client.get_run(run).info.status for name, run in made.items()}
    assert found == {"dead": "KILLED", "at work": "RUNNING", "elsewhere": "RUNNING"}
    for run in made.values():
        client.set_terminated(run)


def test_a_long_name_is_cut_to_what_every_store_takes(client: MlflowClient) -> None:
    """MLflow's own tables hold 250 characters; sqlite would take more."""
    with open_run("sinusoid", "x" * 300, {}) as run:
        pass
    assert client.get_run(run.run_id).info.run_name == "x" * 250


def test_a_store_that_is_away_at_the_end_does_not_hide_the_cause(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ended the run is raised, and MLflow's refusal is a warning; after a success it is the error."""

    def refuse(*_: object) -> None:
        raise MlflowException("You are not\nauthenticated")

    with monkeypatch.context() as away:
        away.setattr(MlflowClient, "set_terminated", refuse)
        with pytest.raises(ZeroDivisionError), open_run("sinusoid", "broken", {}):
            raise ZeroDivisionError
        assert "warning: MLflow was not told that the run is FAILED" in capsys.readouterr().out
        with pytest.raises(AwayError, match="You are not authenticated"), open_run("sinusoid", "whole", {}):
            pass


@pytest.mark.parametrize(
    ("given", "parent"),
    [
        ({"METASGD_PARENT_RUN_ID": "a" * 32}, "a" * 32),
        ({"MLFLOW_RUN_ID": "b" * 32}, "b" * 32),
        ({"METASGD_PARENT_RUN_ID": "a" * 32, "MLFLOW_RUN_ID": "b" * 32}, "a" * 32),
    ],
)
def test_the_environment_names_the_parent(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], parent: str
) -> None:
    """The launcher's parent, or Kubeflow's; a new run hangs below it and does not join it."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with open_run("sinusoid", "child", {}) as run:
        assert run.run_id not in given.values()
    assert client.get_run(run.run_id).data.tags["mlflow.parentRunId"] == parent


def test_image_and_pipeline_run_are_tags(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the launcher says about itself stands at every run."""
    monkeypatch.setenv("METASGD_IMAGE", "metasgd:1")
    monkeypatch.setenv("METASGD_PIPELINE_RUN", "run-7")
    monkeypatch.setenv("METASGD_COMMIT", "0123abc")
    with open_run("sinusoid", "tagged", {}) as run:
        pass
    tags = client.get_run(run.run_id).data.tags
    assert (tags["image"], tags["pipeline_run"]) == ("metasgd:1", "run-7")
    assert tags["mlflow.source.git.commit"] == "0123abc"


def test_a_child_is_where_its_parent_is(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's UI shows it below the parent only there; without one it is among its kind."""
    with open_run("pipelines", "parent", {}) as parent:
        monkeypatch.setenv("METASGD_PARENT_RUN_ID", parent.run_id)
        with open_run("sinusoid", "child", {}) as child:
            pass
        monkeypatch.delenv("METASGD_PARENT_RUN_ID")
    with open_run("sinusoid", "alone", {}) as alone:
        pass
    places = [client.get_run(run.run_id).info.experiment_id for run in (parent, child, alone)]
    assert [client.get_experiment(place).name for place in places] == ["pipelines", "pipelines", "sinusoid"]


@pytest.mark.parametrize(
    ("given", "started_by", "source"),
    [
        ({"DVC_STAGE": "train@sinusoid-5shot-maml"}, "DVC", "dvc repro train@sinusoid-5shot-maml"),
        ({"METASGD_PARENT_RUN_ID": "a" * 32}, "pipeline", "make pipeline-run"),
        ({"MLFLOW_RUN_ID": "b" * 32}, "Kubeflow", "Kubeflow Pipelines"),
        ({}, "command", "python -m "),
    ],
)
def test_a_run_says_who_started_it(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], started_by: str, source: str
) -> None:
    """So DVC's runs and the pipeline's are told apart, in the column Source and by a tag."""
    monkeypatch.setenv("LOGNAME", "ada")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with open_run("sinusoid", "a run", {}) as run:
        pass
    found = client.get_run(run.run_id)
    assert found.data.tags["started_by"] == started_by
    assert found.data.tags["mlflow.source.name"].startswith(source)
    assert found.info.user_id == "ada"


def test_find_run(client: MlflowClient) -> None:
    """A run that is known is found; another id, a malformed one, or none at all is no error."""
    with open_run("sinusoid", "known", {}) as run:
        pass
    found = find_run(client, run.run_id)
    assert found is not None
    assert found.run_id == run.run_id
    assert [find_run(client, unknown) for unknown in ("f" * 32, "no such id", None)] == [None] * 3


def test_git_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """METASGD_COMMIT is believed; else git is asked about the code; without git it is unknown."""
    monkeypatch.setenv("METASGD_COMMIT", "from the image")
    assert git_commit() == "from the image"
    monkeypatch.delenv("METASGD_COMMIT")
    monkeypatch.chdir(tmp_path)  # the code's repository counts, not the current folder's
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", git_commit())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == "unknown"


def test_flatten() -> None:
    """Nested sections become the dotted keys of SET."""
    nested = {"train": {"rate": 0.1, "deep": {"a": 1}}, "seed": 2}
    assert flatten(nested) == {"train.rate": 0.1, "train.deep.a": 1, "seed": 2}
