"""`make deploy`: names that Kubernetes takes, and one line for what it cannot render."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.parsing import from_document
from components.console.command import run_command
from metasgd.errors import InputError
from pipelines.kubeflow import deploy as command
from pipelines.kubeflow.serving import Served, Serving
from tests.pipelines.serving_objects import CANARY, IMAGE, SETTINGS, rendered


@pytest.mark.parametrize("model", ["Größe_5way", "a_b", "a b", "A-B", "a.b", "5way", "-5-", "a--", "a$(B)"])
def test_a_name_that_kubernetes_takes(model: str) -> None:
    """Every part of it, and never that of another model; the registry's own stands in an annotation."""
    if model.startswith("-"):
        model = f"_{model}"
    for found in rendered(model):
        name = found["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
        assert len(name) <= 53
        assert found["metadata"]["annotations"]["metasgd/model"] == model


def test_names_of_two_models_differ() -> None:
    models = ["a-b", "a_b", "A_B", "a b", "a--b", "a.b"]
    assert len({Served(model, None, None, IMAGE).name for model in models}) == len(models)
    assert Served("a--b", None, None, IMAGE).name == "a--b"  # as it is, where it can be


@pytest.mark.parametrize(
    ("model", "options", "line"),
    [
        ("日本語", {}, "MODEL '日本語': no name on Kubernetes follows from it"),
        ("", {}, "MODEL '' is no name of a registered model"),
        ("--help", {}, "MODEL '--help' is no name of a registered model"),
        ("artifacts/checkpoint", {}, "MODEL 'artifacts/checkpoint' is no name of a registered model"),
        ("a" * 54, {}, "has 54 characters; expected at most 53"),
        ("a" * 49, {"namespace": "team"}, "has 49 characters; expected at most 48"),
        ("a", {"version": "1", "alias": "champion"}, "VERSION 1 and ALIAS champion are both given"),
        ("a", {"version": "latest"}, "VERSION is 'latest'; expected a whole number above 0"),
        ("a", {"namespace": "Team A"}, "KFP_NAMESPACE is 'Team A'; expected the name of a namespace"),
    ],
)
def test_what_no_cluster_takes_is_refused_in_one_line(model: str, options: dict[str, str], line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)) as error:
        rendered(model, **options)
    assert "\n" not in str(error.value)


def test_pods_need_an_mlflow_server() -> None:
    with pytest.raises(InputError, match=r"^kubeflow\.mlflow is ''; expected an address"):
        rendered("sinusoid-5shot", "kubeflow.mlflow=")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", 80),
        ("port", 70000),
        ("cpu", "two"),
        ("memory", "4GB"),
        ("minutes", 0),
        ("most_tasks", "many"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_their_key(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"kubeflow\.serving: {key}: "):
        from_document(Serving, {**SETTINGS, key: value}, "params.yaml: kubeflow.serving")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["manifests", *arguments])
    command.main()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_the_command_writes_the_same_files_every_time_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Credentials of the environment are those of the user, not of the pod."""
    arguments = ("--model", "Sinusoid 5shot", "--image", IMAGE, "--output")
    run(monkeypatch, *arguments, str(tmp_path / "one"))
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "KFP_TOKEN"):
        monkeypatch.setenv(name, CANARY)
    run(monkeypatch, *arguments, str(tmp_path / "two"))
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    (name,) = {Path(path).parent.name for path in one}
    assert list(one) == [f"{name}/deployment.yaml", f"{name}/kserve.yaml"]
    assert one == two
    assert all(CANARY.encode() not in text and IMAGE.encode() in text for text in two.values())
    assert CANARY not in capsys.readouterr().out
    assert not any(b"&id" in text or b"Date" in text for text in one.values())


def test_the_image_is_that_of_this_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--model", "a", "--registry", "registry.example.org/team", "--output", str(tmp_path))
    (found,) = yaml.safe_load_all((tmp_path / "a" / "kserve.yaml").read_text())
    image = found["spec"]["predictor"]["containers"][0]["image"]
    assert re.fullmatch(
        r"registry\.example\.org/team/metasgd-python:[0-9a-f]{12}(-dirty-[0-9a-f]{8})?", image
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--image", "metasgd-python:1"], "IMAGE is 'metasgd-python:1'; expected a reference"),
        (["--image", "r.example.org/a:latest"], "expected a tag that never moves"),
        (["--image", IMAGE, "--set", "train.iterations=1"], "takes no part in serving"),
        (["--image", IMAGE, "--set", "kubeflow.mlflow="], "kubeflow.mlflow is ''"),
    ],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    line: str,
) -> None:
    output = tmp_path / "deploy"
    monkeypatch.setattr(sys, "argv", ["manifests", "--model", "a", "--output", str(output), *arguments])
    with pytest.raises(SystemExit) as ended:
        run_command(command.main)
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message.startswith("error: ")
    assert line in message
    assert message.count("\n") == 1
    assert not output.exists()
