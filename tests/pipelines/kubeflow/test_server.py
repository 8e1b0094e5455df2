"""Submitting to Kubeflow Pipelines: what is accepted, and one line for everything that is not."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.command import StepFailedError
from components.parameters import load_experiment
from metasgd.errors import InputError
from pipelines.dag import compile_pipeline
from pipelines.kubeflow import server as module
from pipelines.kubeflow.cluster import load_cluster
from pipelines.kubeflow.endpoint import Endpoint, endpoint
from pipelines.kubeflow.server import Kubeflow, connect
from pipelines.pods import Pods
from tests.pipelines.kubeflow.kfp_server import LOGIN, RUN_ID, TOKEN, Answers, serve


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def host(answers: Answers) -> Iterator[str]:
    with serve(answers) as address:
        yield address


@pytest.fixture
def kubeflow(host: str) -> Kubeflow:
    return connect(Endpoint(host, None, TOKEN))


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


@pytest.mark.parametrize(
    ("everything", "line"),
    [
        ((401, b"", {}), "refuses the token; expected a valid one in KFP_TOKEN or in the file of"),
        ((403, b"", {}), "forbids this to the token; expected one that may run pipelines in KFP_NAMESPACE"),
        ((404, b"", {}), "has no Kubeflow Pipelines API at this path; expected one, as in https://host/pip"),
        (
            (500, b'{"error": "database is gone"}', {}),
            r"answers 500 \(database is gone\); expected a working",
        ),
        ((502, b"<html>", {}), "answers 502; expected a working API"),
        (
            (200, LOGIN, {"Content-Type": "text/html; charset=utf-8"}),
            "answers with text/html, as a login page",
        ),
        ((200, b"{}", {}), "is another API; expected one of Kubeflow Pipelines"),
        ((200, b"[1]", {}), "is another API; expected one of Kubeflow Pipelines"),
    ],
)
def test_what_is_no_api_that_takes_the_token_is_one_line(
    host: str, answers: Answers, everything: tuple[int, bytes, dict[str, str]], line: str
) -> None:
    """Before anything is submitted, and without the token."""
    answers.everything = everything
    with pytest.raises(InputError, match=line) as refused:
        connect(Endpoint(host, None, TOKEN))
    assert str(refused.value).startswith(f"KFP_HOST {host}: ")
    assert "\n" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_the_token_follows_no_redirect(host: str, answers: Answers) -> None:
    """An authentication proxy's 302 is an error, and its target is never asked."""
    elsewhere = Answers()
    with serve(elsewhere) as login:
        answers.everything = (302, b"", {"Location": f"{login}/dex?state=secret"})
        with pytest.raises(InputError, match=f"sends to {login}/dex, as a login does"):
            connect(Endpoint(host, None, TOKEN))
    assert elsewhere.asked == []


@pytest.mark.parametrize("token", [None, "another"])
def test_a_refused_token_is_found_before_submitting(host: str, answers: Answers, token: str | None) -> None:
    """The health check needs no token, so one authorised question is asked, too."""
    with pytest.raises(InputError, match="refuses the token"):
        connect(Endpoint(host, None, token))
    assert answers.bodies("/runs") == []


def test_many_users_need_a_namespace(host: str, answers: Answers) -> None:
    answers.health["multi_user"] = True
    with pytest.raises(InputError, match="has many users; expected KFP_NAMESPACE=…"):
        connect(Endpoint(host, None, TOKEN))
    assert connect(Endpoint(host, "team", TOKEN))


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"does not answer .*refused.*; expected a Kubeflow Pipelines API"):
        connect(Endpoint(f"http://127.0.0.1:{port}", None, TOKEN))


def test_a_server_that_never_answers_is_given_up(
    host: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    answers.hang = True
    with pytest.raises(InputError, match=r"does not answer .*timed out"):
        connect(Endpoint(host, None, TOKEN))


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


def test_a_run_that_succeeds_is_followed_step_by_step(kubeflow: Kubeflow, answers: Answers) -> None:
    """A line when a step starts or ends, none for what drives it."""
    answers.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    lines: list[str] = []
    kubeflow.follow(RUN_ID, lines.append, interval=0.01)
    assert lines == ["preprocess: succeeded", "train: running", "train: succeeded"]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("FAILED", "the run failed: train: out of memory"),
        ("CANCELED", "the run canceled: no reason given"),
    ],
)
def test_a_run_that_does_not_succeed_is_a_failure(
    kubeflow: Kubeflow, answers: Answers, state: str, line: str
) -> None:
    """Said with the steps that failed, the server's words and the run's page; a cancelled run ends, too."""
    answers.states = ["RUNNING", "CANCELING", state]
    with pytest.raises(StepFailedError, match=line) as failed:
        kubeflow.follow(RUN_ID, lambda line: None, interval=0.01)
    assert kubeflow.address(RUN_ID) in str(failed.value)


def test_an_api_that_is_away_for_a_while_is_waited_for(kubeflow: Kubeflow, answers: Answers) -> None:
    """Said once."""
    answers.states = ["RUNNING", 503, 503, "SUCCEEDED"]
    lines: list[str] = []
    kubeflow.follow(RUN_ID, lines.append, interval=0.01)
    assert sum(line.startswith("warning: ") for line in lines) == 1
    assert lines[-1] == "train: succeeded"


def test_an_api_that_stays_away_is_given_up(
    kubeflow: Kubeflow, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    answers.states = [503]
    with pytest.raises(InputError, match="the run goes on"):
        kubeflow.follow(RUN_ID, lambda line: None, interval=0.01)


def test_a_token_that_expires_while_following_ends_it(kubeflow: Kubeflow, answers: Answers) -> None:
    answers.token = "a new one"
    with pytest.raises(InputError, match=f"refuses the token.*the run goes on: .*{RUN_ID}"):
        kubeflow.follow(RUN_ID, lambda line: None, interval=0.01)


def test_a_schedule_is_accepted(kubeflow: Kubeflow, answers: Answers, package: Path) -> None:
    """One run at a time, and none for the times that were missed."""
    assert kubeflow.schedule(package, "nightly", "metasgd", "0 0 3 * * *") == RUN_ID
    (body,) = answers.bodies("/recurringruns")
    assert body["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (body["max_concurrency"], body["no_catchup"], body["mode"]) == ("1", True, "ENABLE")


def test_a_schedule_that_the_server_refuses_is_one_line(kubeflow: Kubeflow, package: Path) -> None:
    with pytest.raises(InputError, match=r"refuses this with 400 \(Invalid input error: schedule cron"):
        kubeflow.schedule(package, "nightly", "metasgd", "every night")


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Never shown."""
    file = tmp_path / "token"
    file.write_text("from-a-file\n")
    host = "https://kubeflow.example.org/pipeline/"
    assert endpoint(host, None, {"KFP_TOKEN": "given"}).token == "given"
    found = endpoint(host, None, {"KFP_TOKEN_FILE": str(file)})
    assert found.token == "from-a-file"
    assert "from-a-file" not in repr(found)
    assert found.host == host.rstrip("/")


@pytest.mark.parametrize(
    ("host", "environment", "line"),
    [
        ("", {}, "KFP_HOST is ''; expected an address as https://"),
        ("kubeflow.example.org", {}, "expected an address as https://"),
        ("https://me:secret@kubeflow.example.org", {}, "holds credentials"),
        ("https://host", {"KFP_TOKEN": "a", "KFP_TOKEN_FILE": "b"}, "are both set"),
        ("https://host", {"KFP_TOKEN_FILE": "/nowhere/token"}, "No such file or directory"),
        ("https://host", {"KFP_TOKEN": "a\nb"}, "holds a line break"),
    ],
)
def test_an_address_or_token_that_is_none_is_one_line(
    host: str, environment: dict[str, str], line: str
) -> None:
    with pytest.raises(InputError, match=line) as refused:
        endpoint(host, None, environment)
    assert "secret" not in str(refused.value)


def test_a_token_in_the_clear_is_warned_of() -> None:
    assert "unencrypted" in str(Endpoint("http://kubeflow.example.org", None, TOKEN).warning)
    for safe in ("https://kubeflow.example.org", "http://127.0.0.1:8080", "http://localhost:8080"):
        assert Endpoint(safe, None, TOKEN).warning is None
