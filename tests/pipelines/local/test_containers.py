"""The image, and the pipeline in containers of it, on a real engine; without one these tests skip.

In CI (the variable CI is set) they must run. IMAGE_BASE names the base where none can be pulled.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import docker
import pytest
from safetensors.numpy import load_file

from pipelines.image import BASE, reference
from pipelines.local.containers import container_arguments
from tests.pipelines.checkout import ROOT, make_checkout, overrides, require_engine, run, unavailable
from tests.pipelines.local.test_run import CURVES, PICTURES, SMALL, draw_pictures

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
LANES = ("sinusoid-5shot", "glyphs-5way-1shot")
SETTINGS = [*SMALL, *CURVES, *PICTURES, "glyphs-5way-1shot.tasks.source.path=datasets/pictures"]


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this tree, built by the project's own command."""
    require_engine()
    base = os.environ.get("IMAGE_BASE")
    command = [sys.executable, "-m", "pipelines.image", "--build", *(["--base", base] if base else [])]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if built.returncode:
        unavailable(f"the image cannot be built: {(built.stderr.strip() or built.stdout).splitlines()[-1]}")
    return reference(base=base or BASE, root=ROOT)


def in_container(image: str, *command: str) -> str:
    """What a command prints in the image: read-only root, no network, the image's own user."""
    options = ["--rm", "--read-only", "--tmpfs=/tmp:exec", "--network=none"]
    done = subprocess.run(
        ["docker", "run", *options, image, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_image_runs_as_nobody_in_particular(image: str) -> None:
    assert in_container(image, "id", "-u") == "1000"


def test_the_image_holds_the_steps_and_no_installer(image: str) -> None:
    """No pip, uv, git or DVC, and of the project only what steps import."""
    present = in_container(image, "sh", "-c", "for c in pip uv git dvc g++; do command -v $c; done; ls /app")
    assert [Path(line).name for line in present.splitlines()] == ["g++", "components", "metasgd"]


def test_the_image_says_what_it_is(image: str) -> None:
    client = docker.from_env()
    labels = client.images.get(image).labels
    client.close()
    commit = labels["org.opencontainers.image.revision"]
    assert image.rpartition(":")[2].startswith(commit[:12])
    assert labels["org.opencontainers.image.version"]
    assert in_container(image, "printenv", "METASGD_COMMIT", "METASGD_IMAGE").split() == [commit, image]


def test_the_image_compiles(image: str) -> None:
    """torch.compile finds a compiler, headers, and a place to write although the root is read-only."""
    program = "import torch; print(torch.compile(lambda x: torch.sin(x) * 2)(torch.zeros(3)).tolist())"
    assert in_container(image, "python3", "-c", program) == "[0.0, 0.0, 0.0]"


@pytest.fixture(scope="module")
def contained(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which a tiny run went through containers."""
    checkout = make_checkout(tmp_path_factory.mktemp("work") / "a checkout")
    draw_pictures(checkout / "datasets" / "pictures")
    lanes = ["--experiments", *LANES, "--set", *SETTINGS]
    done = run(checkout, "pipelines", "--runner", "docker", "--image", image, *lanes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "★" in done.stdout
    return checkout


@pytest.mark.parametrize("lane", range(len(LANES)))
def test_containers_give_the_bits_of_this_interpreter(contained: Path, lane: int, tmp_path: Path) -> None:
    """Theta and alpha are bitwise equal to those of the steps' commands here."""
    common = ["--experiment", LANES[lane], *overrides(SETTINGS, LANES, lane)]
    episodes, output = tmp_path / "episodes", tmp_path / "checkpoint"
    first = run(contained, "components.preprocess", *common, "--output", str(episodes))
    assert first.returncode == 0, first.stderr
    arguments = ["--algorithm", "meta-sgd", "--episodes", str(episodes), "--output", str(output)]
    second = run(contained, "components.train", *common, *arguments)
    assert second.returncode == 0, second.stderr
    task = "train" if lane == 0 else f"train-{lane + 1}"
    checkpoint = min((contained / ".local" / "runs").rglob(f"{task}/checkpoint"))
    ours, theirs = (load_file(place / "weights.safetensors") for place in (output, checkpoint))
    assert {name: value.tobytes() for name, value in ours.items()} == {
        name: value.tobytes() for name, value in theirs.items()
    }


def test_a_repeated_run_takes_what_is_finished(contained: Path, image: str) -> None:
    """The trainings and scores of both lanes, though kfp reaches this checkout through links."""
    lanes = ["--experiments", *LANES, "--set", *SETTINGS]
    done = run(contained, "pipelines", "--runner", "docker", "--image", image, *lanes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("finished by an earlier run") == 2 * (2 + 1)


def test_outputs_belong_to_whoever_ran_it(contained: Path) -> None:
    owners = {path.stat().st_uid for path in (contained / ".local").rglob("*")}
    assert owners == {os.getuid()}


def test_a_failed_step_is_one_line_as_without_containers(image: str, tmp_path: Path) -> None:
    """The archive that is missing, by name; exit code 2; no container is left."""
    checkout = make_checkout(tmp_path / "checkout")
    lanes = ["--experiments", "omniglot-5way-1shot"]
    done = run(checkout, "pipelines", "--runner", "docker", "--image", image, *lanes)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "images_background.zip" in line
    (folder,) = (checkout / ".local" / "runs").iterdir()
    client = docker.from_env()
    left = client.containers.list(all=True, filters={"label": f"metasgd.run={folder.name}"})
    client.close()
    assert left == []


@pytest.mark.parametrize(
    "command", [["pipelines", "--runner", "docker", "--image", "any:1"], ["pipelines.image", "--build"]]
)
def test_without_an_engine_it_is_one_line(command: Sequence[str]) -> None:
    """Exit code 2, before anything is written."""
    done = run(ROOT, *command, **NO_ENGINE)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: no container engine answers here")


def test_an_image_that_is_not_there_is_one_line(image: str) -> None:
    assert image
    done = run(ROOT, "pipelines", "--runner", "docker", "--image", "metasgd-python:never-built")
    assert done.returncode == 2
    assert done.stderr == (
        "error: IMAGE metasgd-python:never-built: unknown to the container engine; expected `make image`\n"
    )


def test_containers_have_no_network_unless_a_store_is_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert container_arguments(tmp_path, {})["network_mode"] == "none"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert container_arguments(tmp_path, {})["network_mode"] == "host"


@pytest.mark.parametrize(
    ("store", "states", "mode"),
    [
        ("", "s3://bucket/states", "host"),
        ("postgresql://user:secret@db/mlflow", "", "host"),
        ("databricks", "", "host"),
        ("sqlite:///elsewhere/mlflow.db", "states", "none"),
        ("file:runs", "", "none"),
        ("", "", "none"),
    ],
)
def test_every_store_that_is_a_server_gives_containers_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, states: str, mode: str
) -> None:
    """MLflow's, whatever it speaks, and that of the trainings' states."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.replace("/elsewhere", str(tmp_path / "elsewhere")))
    monkeypatch.setenv(
        "METASGD_STATES", states.replace("/states", str(tmp_path / "states")) if mode == "none" else states
    )
    assert container_arguments(tmp_path, {})["network_mode"] == mode


def test_folders_of_stores_are_mounted_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States and MLflow's files elsewhere, made where they are missing; those in .local with it."""
    monkeypatch.chdir(tmp_path)
    elsewhere, states = tmp_path.parent / "elsewhere", tmp_path.parent / "states"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    monkeypatch.setenv("METASGD_STATES", str(states))
    targets = [mount["Target"] for mount in container_arguments(tmp_path, {})["mounts"]]
    assert targets == [f"{tmp_path}/.local", str(elsewhere), str(states)]
    assert elsewhere.is_dir()
    assert states.is_dir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("METASGD_STATES", ".local/states")
    targets = [mount["Target"] for mount in container_arguments(tmp_path, {})["mounts"]]
    assert targets == [f"{tmp_path}/.local"]


def test_containers_are_told_what_steps_read_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of the stores by the environment; not this shell's other secrets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3")
    monkeypatch.setenv("KFP_TOKEN", "kubeflow")
    environment = container_arguments(tmp_path, {})["environment"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == "s3"
    assert "KFP_TOKEN" not in environment
    assert environment["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/.local/mlflow.db"
    assert environment["TORCHINDUCTOR_CACHE_DIR"] == f"{tmp_path}/.local/compiled"


def test_data_are_mounted_read_only_and_gpus_where_the_engine_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    found = container_arguments(tmp_path, {"Runtimes": {"runc": {}, "nvidia": {}}})
    writable = {mount["Target"]: not mount["ReadOnly"] for mount in found["mounts"]}
    assert writable == {f"{tmp_path}/.local": True, f"{tmp_path}/data": False}
    assert found["device_requests"][0]["Count"] == -1
    assert container_arguments(tmp_path, {"Runtimes": {"runc": {}}})["device_requests"] == []
