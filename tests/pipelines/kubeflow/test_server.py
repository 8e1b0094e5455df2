"""Runs, schedules and uploads on Kubeflow Pipelines: what is accepted, and one line for what is not."""

from pathlib import Path

import pytest

from components.kinds.experiment import load_experiment
from metasgd.errors import InputError
from pipelines.dag import compile_pipeline
from pipelines.kubeflow import server as module
from pipelines.kubeflow.cluster import load_cluster
from pipelines.kubeflow.server import Kubeflow
from pipelines.pods import Pods
from tests.pipelines.kubeflow.kfp_server import LOGIN, RUN_ID, Answers
from tests.pipelines.kubeflow.recorded import recorded


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    pods = Pods("registry.example.org/metasgd-python:1", load_cluster())
    compile_pipeline([load_experiment("sinusoid-5shot")], [1], path, pods)
    return path


def test_a_run_is_accepted(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    """Both documents arrive, in an experiment that is made once; the address is the run's page."""
    run_id = kubeflow.submit(package, "metasgd sinusoid-5shot", "metasgd")
    assert run_id == kubeflow.submit(package, "again", "metasgd") == RUN_ID
    first, _ = answers.bodies("/runs")
    assert first["display_name"] == "metasgd sinusoid-5shot"
    assert first["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert answers.experiments == {"metasgd": first["experiment_id"]}
    assert kubeflow.address(run_id) == f"{kubeflow.endpoint.host}/#/runs/details/{RUN_ID}"


def test_a_package_of_one_document_is_accepted(kubeflow: Kubeflow, tmp_path: Path) -> None:
    compile_pipeline([load_experiment("sinusoid-5shot")], [1], tmp_path / "pipeline.yaml")
    assert kubeflow.submit(tmp_path / "pipeline.yaml", "plain", "metasgd") == RUN_ID


def test_a_submission_answered_without_an_id_is_no_success(
    kubeflow: Kubeflow, answers: Answers, package: Path
) -> None:
    answers.without_id = True
    with pytest.raises(InputError, match="answers without the id of a run"):
        kubeflow.submit(package, "name", "metasgd")


def test_what_is_no_pipeline_is_not_sent(kubeflow: Kubeflow, answers: Answers, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    with pytest.raises(InputError, match="expected a compiled pipeline"):
        kubeflow.submit(tmp_path / "other.yaml", "name", "metasgd")
    assert answers.bodies("/runs") == []


def test_names_are_cut_to_what_the_server_takes(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    """A longer one is answered with 500 although the run starts."""
    names = " ".join(f"experiment-{number}" for number in range(60))
    assert kubeflow.submit(package, names, names, names) == kubeflow.submit(package, names, names, names)
    first, second = answers.bodies("/runs")
    assert len(first["display_name"]) == len(first["description"]) == 255
    assert first["display_name"].startswith(names[:252])
    assert first["display_name"].endswith("...")
    assert [len(name) for name in answers.experiments] == [128]
    assert first["experiment_id"] == second["experiment_id"]


def test_a_run_whose_answer_was_lost_is_found_again(
    kubeflow: Kubeflow, answers: Answers, package: Path
) -> None:
    """A 504 after the run was made: it is looked for by what only this submission says of itself."""
    answers.lost = 1
    assert kubeflow.submit(package, "name", "metasgd") == RUN_ID
    assert len(answers.made_runs) == 1
    tags = {run["description"][: len("submission 0123456789ab")] for run in answers.made_runs}
    kubeflow.submit(package, "name", "metasgd")
    tags |= {run["description"][: len("submission 0123456789ab")] for run in answers.made_runs}
    assert len(tags) == 2


def test_a_schedule_whose_answer_was_lost_is_found_again(
    kubeflow: Kubeflow, answers: Answers, package: Path
) -> None:
    version = kubeflow.upload(package, "metasgd", "one", "", {})
    answers.lost = 1
    assert kubeflow.schedule(version, "nightly", "metasgd", "0 0 3 * * *") == RUN_ID


def test_an_upload_whose_answer_was_lost_is_found_again(
    kubeflow: Kubeflow, answers: Answers, package: Path
) -> None:
    answers.lost = 1
    assert kubeflow.upload(package, "metasgd", "one", "", {}).version_id == "version-0"
    assert len(answers.versions) == 1


def test_a_run_that_is_not_found_again_may_exist_all_the_same(
    kubeflow: Kubeflow, answers: Answers, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a name that was too long for the real server: no list shows what it started."""
    monkeypatch.setattr(module, "RUN_NAME", 300)
    with pytest.raises(
        InputError, match=r"answers 500 .*Data too long.*; a run may exist all the same: .*subm"
    ):
        kubeflow.submit(package, "x" * 300, "metasgd")


def test_what_is_refused_does_not_exist(
    kubeflow: Kubeflow, answers: Answers, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No looking for it, and no talk of it."""
    monkeypatch.setattr(kubeflow, "_experiment_id", lambda name: "gone")
    asked = len(answers.asked)
    with pytest.raises(InputError, match=r"refuses this with 404 \(experiment not found\)$"):
        kubeflow.submit(package, "name", "metasgd")
    assert len(answers.asked) == asked + 1


def test_a_pipeline_is_uploaded_once(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    """The pipeline is made where it is missing; a version that is there is not uploaded again."""
    first = kubeflow.upload(package, "metasgd", "abc-123", "what it is", {"commit": "abc"})
    again = kubeflow.upload(package, "metasgd", "abc-123", "what it is", {"commit": "abc"})
    other = kubeflow.upload(package, "metasgd", "abc-456", "what it is", {"commit": "abc"})
    assert first.new
    assert not again.new
    assert (again.pipeline_id, again.version_id) == (first.pipeline_id, first.version_id)
    assert other.pipeline_id == first.pipeline_id
    assert list(answers.pipelines) == ["metasgd"]
    assert [(one["display_name"], one["tags"]) for one in answers.versions] == [
        ("abc-123", {"commit": "abc"}),
        ("abc-456", {"commit": "abc"}),
    ]


def test_a_schedule_runs_an_uploaded_version(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    """One run at a time, and none for the times that were missed."""
    version = kubeflow.upload(package, "metasgd", "one", "", {})
    assert kubeflow.schedule(version, "nightly", "metasgd", "0 0 3 * * *") == RUN_ID
    (body,) = answers.bodies("/recurringruns")
    assert body["pipeline_version_reference"] == {
        "pipeline_id": "pipeline-0",
        "pipeline_version_id": "version-0",
    }
    assert "pipeline_spec" not in body
    assert body["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (body["max_concurrency"], body["no_catchup"], body["mode"]) == ("1", True, "ENABLE")


def test_a_schedule_that_the_server_refuses_is_one_line(kubeflow: Kubeflow, package: Path) -> None:
    version = kubeflow.upload(package, "metasgd", "one", "", {})
    with pytest.raises(
        InputError, match=r"refuses this with 400 \(Failed to create a recurring run .*Schedule cron"
    ):
        kubeflow.schedule(version, "nightly", "metasgd", "every day")


def test_the_last_runs_are_listed_newest_first(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    assert kubeflow.list_runs("metasgd") == []
    for name in ("first", "second"):
        kubeflow.submit(package, name, "metasgd")
    answers.made_runs[0] |= {"state": "FAILED", "state_history": recorded("cancelled")["state_history"]}
    second, first = kubeflow.list_runs("metasgd")
    assert (first.name, first.state) == ("first", "CANCELED")
    assert (second.name, second.state) == ("second", "PENDING")
    assert second.created > first.created


def test_the_last_runs_are_those_of_one_experiment(
    kubeflow: Kubeflow, answers: Answers, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more than a page of them."""
    monkeypatch.setattr(module, "PAGE", 2)
    for name, experiment in (("a", "mine"), ("b", "mine"), ("c", "mine"), ("d", "another's")):
        kubeflow.submit(package, name, experiment)
    assert [run.name for run in kubeflow.list_runs("mine")] == ["c", "b"]


def test_tags_are_cut_to_what_the_server_takes(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    kubeflow.upload(package, "metasgd", "one", "", {"image": "x" * 71})
    assert answers.versions[0]["tags"] == {"image": "x" * 63}


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"{}", b"[1]", b"\xff\xfe"])
def test_what_is_no_run_is_not_followed(host: str, answers: Answers, kubeflow: Kubeflow, body: bytes) -> None:
    """As when a session behind a login page has expired."""
    answers.everything = (200, body, {"Content-Type": "text/html"})
    with pytest.raises(InputError, match=r"answers without the run|does not answer"):
        kubeflow.run(RUN_ID)


def test_a_log_that_breaks_off_is_no_log(kubeflow: Kubeflow, answers: Answers) -> None:
    """It comes with a failure, which must not be hidden by another."""
    answers.log = "one\ntwo"
    assert kubeflow.log(RUN_ID, "a-pod") == ["one", "two"]
    answers.cut = True
    assert kubeflow.log(RUN_ID, "a-pod") == []
    answers.everything = (200, LOGIN, {"Content-Type": "text/html"})
    assert kubeflow.log(RUN_ID, "a-pod") == []


def test_an_unknown_run_is_said_in_the_servers_words(kubeflow: Kubeflow) -> None:
    """And not as an API that is missing."""
    with pytest.raises(InputError, match=r"refuses this with 404 \(Failed to get a run: .* not found\)"):
        kubeflow.run("0" * 8)
