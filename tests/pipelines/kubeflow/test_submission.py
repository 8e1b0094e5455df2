"""`python -m pipelines.kubeflow` as a user types it: checks first, then one line or the run's address."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.loopback import ANY_PORT, Quiet, running
from tests.pipelines.checkout import ROOT, make_checkout, run
from tests.pipelines.kubeflow.kfp_server import RUN_ID, TOKEN, Answers
from tests.pipelines.kubeflow.recorded import recorded
from tests.s3_server import BUCKET, S3Server, s3_server

IMAGE = "registry.example.org/team/metasgd-python:0123456789ab"
QUIET = ["kubeflow.mlflow=''", "kubeflow.states=''"]  # neither server is asked


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("work") / "checkout")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def submit(
    checkout: Path,
    host: str,
    *options: str,
    settings: list[str],
    action: str = "submit",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    lanes = ["--experiments", "sinusoid-5shot", "--set", *settings]
    arguments = [action, "--host", host, "--image", IMAGE, *options, *lanes]
    return run(checkout, "pipelines.kubeflow", *arguments, **{"KFP_TOKEN": TOKEN, **environment})


@contextmanager
def mlflow(status: int) -> Iterator[str]:
    """A tracking server that gives every request one answer."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    answering = ThreadingHTTPServer(ANY_PORT, Handler)
    with running(answering):
        yield f"http://127.0.0.1:{answering.server_port}"


def test_a_run_is_submitted_and_followed(checkout: Path, host: str, answers: Answers) -> None:
    """The address is printed, then a line per step; the exit code is that of the run."""
    done = submit(checkout, host, "--wait", settings=QUIET)
    assert done.returncode == 0, done.stderr
    assert f"Submitted: {host}/#/runs/details/{RUN_ID}" in done.stdout
    assert "sinusoid-5shot: evaluate done" in done.stdout
    (body,) = answers.bodies("/runs")
    assert IMAGE in yaml.safe_dump(body)
    assert f"Image {IMAGE}" in body["description"]
    assert TOKEN not in done.stdout + done.stderr + yaml.safe_dump(body)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("failed-after-retries", "error: the run failed: sinusoid-5shot: train of meta-sgd seed 1 ("),
        ("cancelled", "error: the run was CANCELED ("),
    ],
)
def test_a_run_that_does_not_succeed_is_exit_code_one(
    checkout: Path, host: str, answers: Answers, answer: str, line: str
) -> None:
    answers.runs = [recorded(answer)]
    done = submit(checkout, host, "--wait", settings=QUIET)
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.endswith(f" ({host}/#/runs/details/{RUN_ID})\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_schedule_is_made_of_an_uploaded_version(checkout: Path, host: str, answers: Answers) -> None:
    done = submit(checkout, host, "--cron", "0 0 3 * * *", settings=QUIET, action="schedule")
    assert done.returncode == 0, done.stderr
    assert f"Scheduled: {RUN_ID}, 0 0 3 * * *" in done.stdout
    assert len(answers.versions) == len(answers.bodies("/recurringruns")) == 1
    assert submit(checkout, host, settings=QUIET, action="schedule").returncode == 2
    assert len(answers.bodies("/recurringruns")) == 1


def test_a_version_is_named_by_what_is_in_it(checkout: Path, host: str, answers: Answers) -> None:
    """Commit, image and pipeline: the same again is not uploaded, another parameter or image is another."""
    digest = "@sha256:" + "0123456789ab" + "c" * 52
    pinned = ["--image", IMAGE.rpartition(":")[0] + digest]
    first = submit(checkout, host, *pinned, settings=QUIET, action="upload")
    again = submit(checkout, host, *pinned, settings=QUIET, action="upload")
    other = submit(checkout, host, *pinned, settings=[*QUIET, "train.iterations=7"], action="upload")
    assert (first.returncode, again.returncode, other.returncode) == (0, 0, 0), first.stderr
    named, renamed = [version["display_name"] for version in answers.versions]
    assert re.fullmatch(r"\w{7,12}-0123456789ab-[0-9a-f]{8}", named)
    assert named[:-8] == renamed[:-8]
    assert f"Uploaded: metasgd {named}" in first.stdout
    assert f"There already: metasgd {named}" in again.stdout
    assert answers.versions[0]["tags"]["image"] == digest.removeprefix("@sha256:")[:63]


def test_runs_are_listed_with_state_and_address(checkout: Path, host: str, answers: Answers) -> None:
    def listed() -> list[str]:
        done = run(checkout, "pipelines.kubeflow", "runs", "--host", host, KFP_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert listed() == ["no runs yet in the experiment metasgd"]
    assert submit(checkout, host, settings=QUIET).returncode == 0
    (line,) = listed()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d  pending    metasgd sinusoid-5shot  {host}/#/runs/details/{RUN_ID}",
        line,
    )


def test_the_cache_can_be_switched_off(checkout: Path, host: str, answers: Answers) -> None:
    for cache, expected in (("on", True), ("off", False)):
        assert submit(checkout, host, "--cache", cache, settings=QUIET).returncode == 0
        assert ("enableCache" in yaml.safe_dump(answers.bodies("/runs")[-1])) == expected


@pytest.mark.parametrize(
    "image", ["metasgd-python:local", "registry.example.org/x:latest", "registry.example.org/x"]
)
def test_an_image_that_the_cluster_cannot_pull_or_that_moves_is_refused(
    checkout: Path, host: str, answers: Answers, image: str
) -> None:
    done = submit(checkout, host, "--image", image, settings=QUIET)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: IMAGE is {image!r}; expected ")
    assert answers.bodies("/runs") == []


def test_nothing_is_submitted_where_the_token_is_refused(checkout: Path, host: str, answers: Answers) -> None:
    done = submit(checkout, host, settings=QUIET, KFP_TOKEN="stale")  # noqa: S106
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "refuses the token" in line
    assert "stale" not in line
    assert answers.bodies("/runs") == []


def test_an_mlflow_that_is_not_reachable_is_a_warning_unless_strict(
    checkout: Path, host: str, answers: Answers
) -> None:
    """Pods may reach it."""
    settings = ["kubeflow.mlflow=http://127.0.0.1:9", "kubeflow.states=''"]
    done = submit(checkout, host, settings=settings)
    assert done.returncode == 0, done.stderr
    assert "warning: kubeflow.mlflow http://127.0.0.1:9: not reachable from here" in done.stdout
    strict = submit(checkout, host, "--check", "strict", settings=settings)
    assert strict.returncode == 2
    assert strict.stderr.startswith("error: kubeflow.mlflow http://127.0.0.1:9: not reachable")
    assert len(answers.bodies("/runs")) == 1


def test_credentials_that_mlflow_refuses_are_an_error(checkout: Path, host: str, answers: Answers) -> None:
    """Where the environment has none, the pods' may be good."""
    with mlflow(401) as address:
        settings = [f"kubeflow.mlflow={address}", "kubeflow.states=''"]
        assert submit(checkout, host, settings=settings).returncode == 0
        mine = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "wrong"}
        done = submit(checkout, host, settings=settings, **mine)
    assert done.returncode == 2
    assert done.stderr == f"error: kubeflow.mlflow {address}: refuses the credentials of the environment\n"
    assert len(answers.bodies("/runs")) == 1


def test_s3_is_asked_with_the_credentials_of_the_environment(
    checkout: Path, host: str, answers: Answers, server: S3Server
) -> None:
    """Good ones are silent, refused ones an error, and a dead server is a warning."""
    settings = ["kubeflow.mlflow=''", f"kubeflow.states=s3://{BUCKET}/states"]
    alive, dead = f"kubeflow.s3={server.endpoint}", "kubeflow.s3=http://127.0.0.1:9"
    good = submit(checkout, host, settings=[*settings, alive], **server.environment)
    assert good.returncode == 0, good.stderr
    assert "warning" not in good.stdout
    wrong = {**server.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    refused = submit(checkout, host, settings=[*settings, alive], **wrong)
    assert refused.returncode == 2
    assert "refuses the credentials" in refused.stderr
    away = submit(checkout, host, settings=[*settings, dead], **server.environment)
    assert away.returncode == 0
    assert "warning: kubeflow.s3: " in away.stdout


def test_pinned_data_must_be_in_the_remote(
    tmp_path: Path, host: str, answers: Answers, server: S3Server
) -> None:
    """`dvc push` is what helps; then the pod is told which objects to fetch."""
    checkout = make_checkout(tmp_path / "checkout")
    (checkout / "data.dvc").unlink()
    (checkout / "data" / "omniglot").mkdir(parents=True)
    (checkout / "data" / "omniglot" / "images_background.zip").write_bytes(b"pictures")
    environment = {**server.environment, "AWS_CONFIG_FILE": str(server.settings)}
    environment |= {"AWS_SHARED_CREDENTIALS_FILE": str(server.settings), "KFP_TOKEN": TOKEN}

    def dvc(*arguments: str) -> None:
        done = run(checkout, "dvc", *arguments, **environment)
        assert done.returncode == 0, done.stderr

    def submitted() -> subprocess.CompletedProcess[str]:
        lanes = ["--experiments", "omniglot-5way-1shot", "--set", *QUIET]
        arguments = ["submit", "--host", host, "--image", IMAGE, *lanes]
        return run(checkout, "pipelines.kubeflow", *arguments, **environment)

    dvc("init", "--no-scm", "-q")
    dvc("config", "core.analytics", "false")
    dvc("add", "-q", "data")
    dvc("remote", "add", "-q", "--default", "storage", f"s3://{BUCKET}/dvc")
    dvc("remote", "modify", "storage", "endpointurl", server.endpoint)
    before = submitted()
    assert before.returncode == 2
    assert "run `dvc push`" in before.stderr
    assert answers.bodies("/runs") == []
    dvc("push", "-q")
    after = submitted()
    assert after.returncode == 0, after.stderr
    (md5,) = [out["md5"] for out in yaml.safe_load((checkout / "data.dvc").read_text())["outs"]]
    assert md5 in yaml.safe_dump(answers.bodies("/runs")[-1])


def test_compiling_alone_asks_nobody(checkout: Path) -> None:
    """No host, no token: the file and its image."""
    package = checkout / "pipeline.yaml"
    arguments = ["compile", "--output", str(package), "--image", IMAGE, "--experiments", "sinusoid-5shot"]
    done = run(checkout, "pipelines.kubeflow", *arguments)
    assert done.returncode == 0, done.stderr
    assert len(list(yaml.safe_load_all(package.read_text()))) == 2


def test_make_hands_everything_on(tmp_path: Path, host: str, answers: Answers) -> None:
    """KFP_HOST and the rest reach the command; the token comes from a file."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    answers.runs = [recorded("failed-after-retries")]
    command = [
        "make", "-s", "--no-print-directory", "pipeline-run", f"KFP_HOST={host}", f"IMAGE={IMAGE}",
        "EXPERIMENTS=sinusoid-5shot", "SET=kubeflow.mlflow= kubeflow.states=", "CACHE=off", "WAIT=1",
    ]  # fmt: skip
    environment = {**os.environ, "KFP_TOKEN_FILE": str(tmp_path / "token")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "Submitted: " in done.stdout
    assert "error: the run failed" in done.stderr, "WAIT=1"
    (body,) = answers.bodies("/runs")
    assert "enableCache" not in yaml.safe_dump(body), "CACHE=off"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (["pipeline-runs"], "no runs yet in the experiment metasgd"),
        (["pipeline-upload"], "Uploaded: metasgd "),
        (["pipeline-schedule", "CRON=0 0 3 * * *"], f"Scheduled: {RUN_ID}, 0 0 3 * * *"),
    ],
)
def test_make_has_a_target_for_every_action(host: str, target: list[str], line: str) -> None:
    settings = [f"KFP_HOST={host}", f"IMAGE={IMAGE}", "EXPERIMENTS=sinusoid-5shot"]
    command = ["make", "-s", "--no-print-directory", *target, *settings]
    command += ["SET=kubeflow.mlflow= kubeflow.states="]
    environment = {**os.environ, "KFP_TOKEN": TOKEN}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert line in done.stdout


def test_a_list_of_runs_takes_no_overrides_of_experiments(host: str) -> None:
    """What would be ignored is refused."""
    command = ["make", "-s", "--no-print-directory", "pipeline-runs", f"KFP_HOST={host}", "SET=train.rate=1"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert "SET 'train.rate=1': takes no part in a list of runs; expected a key of kubeflow" in done.stderr
