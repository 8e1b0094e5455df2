"""What serves a model on a cluster: held against Kubernetes' own schemas, and for KServe against its API."""

import re
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from components.config.parsing import from_document
from components.console.command import run_command
from components.serving.serve import _parser
from metasgd.errors import InputError
from pipelines.kubeflow import deploy as command
from pipelines.kubeflow.cluster import load_cluster
from pipelines.kubeflow.manifests import Manifests
from pipelines.kubeflow.serving import Served, Serving

IMAGE = "registry.example.org/team/metasgd-python:0123456789ab"
SETTINGS = {
    "cpu": "2",
    "memory": "4Gi",
    "port": 8080,
    "most_tasks": 1000,
    "most_megabytes": 1024,
    "minutes": 60,
}
SERVING = Serving(**SETTINGS)
VERSIONS = ("1.30", "1.36")  # of Kubernetes: an old one, and that of docs/kubeflow.md
CREDENTIALS = re.compile("USERNAME|PASSWORD|TOKEN|KEY")
CANARY = "canary-9d3f51c7"


def rendered(
    model: str = "sinusoid-5shot",
    *overrides: str,
    version: str | None = None,
    alias: str | None = None,
    namespace: str | None = None,
    serving: Serving = SERVING,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """InferenceService, Deployment and Service, as `kubectl` reads them."""
    served = Served(model, version, alias, IMAGE, namespace)
    files = Manifests(served, load_cluster(overrides), serving).files()
    assert list(files) == ["kserve.yaml", "deployment.yaml"]
    (inference_service,) = yaml.safe_load_all(files["kserve.yaml"])
    deployment, service = yaml.safe_load_all(files["deployment.yaml"])
    return inference_service, deployment, service


def pods(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """The pods of both, without what KServe adds to its own."""
    inference_service, deployment, _ = rendered(*arguments, **options)
    predictor = inference_service["spec"]["predictor"]
    scale = ("minReplicas", "maxReplicas")
    return [
        {key: value for key, value in predictor.items() if key not in scale},
        deployment["spec"]["template"]["spec"],
    ]


def containers(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    return [container for pod in pods(*arguments, **options) for container in pod["containers"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "overrides", [(), ("kubeflow.pull_secret=pull", "kubeflow.s3=", "kubeflow.s3_secret=")]
)
def test_kubernetes_knows_every_field(version: str, overrides: tuple[str, ...]) -> None:
    """Strictly: an unknown field is an error. What KServe puts into its pod is a PodSpec, too."""
    _, deployment, service = rendered("sinusoid-5shot", *overrides, namespace="team")
    for found in (deployment, service):
        kubernetes_validate.validate(found, version, strict=True)
    for spec in pods("sinusoid-5shot", *overrides):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        kubernetes_validate.validate(pod, version, strict=True)


def test_the_schemas_find_mistakes() -> None:
    _, deployment, _ = rendered()
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_kserve_gets_a_container_of_ours() -> None:
    """By KServe's v1beta1: one container of this name, with one port, in a Deployment of Kubernetes' own."""
    inference_service, _, _ = rendered(namespace="team")
    spec = inference_service.pop("spec")
    assert inference_service == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "sinusoid-5shot",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/name": "metasgd",
                "app.kubernetes.io/instance": "sinusoid-5shot",
                "app.kubernetes.io/component": "predictor",
                "app.kubernetes.io/part-of": "metasgd",
            },
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "metasgd/model": "sinusoid-5shot",
            },
        },
    }
    predictor = spec["predictor"]
    assert list(spec) == ["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 1)
    assert not {"model", "serviceAccountName", "securityContext"} & predictor.keys()
    (container,) = predictor["containers"]
    assert container["name"] == "kserve-container"
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert "STORAGE_URI" not in {variable["name"] for variable in container["env"]}


def test_both_run_the_server_in_the_image() -> None:
    for container in containers():
        assert container["image"] == IMAGE
        assert container["command"] == ["python", "-m", "components.serving.serve"]
        assert container["args"] == [
            "sinusoid-5shot",
            "--host=0.0.0.0",
            "--port=8080",
            "--most-tasks=1000",
            "--most-megabytes=1024",
            "--minutes=60",
        ]


def test_the_server_takes_its_arguments() -> None:
    for container in containers(alias="trial"):
        taken = _parser().parse_args(container["args"])
        assert (taken.model, taken.version, taken.alias) == ("sinusoid-5shot", None, "trial")
        assert (taken.host, taken.port, taken.minutes) == ("0.0.0.0", 8080, 60)  # noqa: S104
        assert (taken.most_tasks, taken.most_megabytes) == (1000, 1024)


@pytest.mark.parametrize(("options", "expected"), [({"version": "3"}, "3"), ({"alias": "trial"}, "trial")])
def test_a_version_or_an_alias_is_served(options: dict[str, str], expected: str) -> None:
    (name,) = options
    assert all(f"--{name}={expected}" in container["args"] for container in containers(**options))
    for found in rendered(**options):
        assert found["metadata"]["annotations"]["metasgd/version"] == expected


def test_what_kubernetes_would_replace_is_left_as_it_is() -> None:
    """$(NAME) in an argument is the variable of that name; $$ is $."""
    for container in containers("a$(MLFLOW_TRACKING_TOKEN)"):
        assert container["args"][0] == "a$$(MLFLOW_TRACKING_TOKEN)"


def test_the_pod_has_no_rights() -> None:
    """As Kubernetes' Pod Security Standard `restricted` asks, with a root that cannot be written to."""
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_a_server_that_starts_has_minutes_and_one_that_hangs_is_replaced() -> None:
    for container in containers():
        probes = [container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
        assert all(probe.pop("httpGet") == {"path": "/health", "port": 8080} for probe in probes)
        startup, readiness, liveness = (
            probe["periodSeconds"] * probe["failureThreshold"] for probe in probes
        )
        assert (startup, readiness, liveness) == (300, 15, 120)
        assert all(probe["timeoutSeconds"] > 1 for probe in probes)


def test_settings_reach_the_pod() -> None:
    serving = Serving(cpu="3500m", memory="8Gi", port=9000, most_tasks=7, most_megabytes=512, minutes=5)
    _, _, service = rendered(serving=serving)
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": 9000, "protocol": "TCP"}]
    for container in containers(serving=serving):
        resources = {"cpu": "3500m", "memory": "8Gi"}
        assert container["resources"] == {"requests": resources, "limits": resources}
        assert container["ports"][0]["containerPort"] == container["livenessProbe"]["httpGet"]["port"] == 9000
        assert {"--port=9000", "--most-tasks=7", "--most-megabytes=512", "--minutes=5"} < {*container["args"]}


def test_addresses_come_from_the_section_and_credentials_from_secrets() -> None:
    for container in containers():
        values = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        assert values == {
            "MLFLOW_TRACKING_URI": "http://mlflow.kubeflow.svc:5000",
            "MLFLOW_S3_ENDPOINT_URL": "http://minio-service.kubeflow.svc:9000",
        }
        secrets = {
            one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one
        }
        mlflow, s3 = {"name": "metasgd-mlflow", "optional": True}, {"name": "metasgd-s3", "optional": False}
        assert secrets == {
            "MLFLOW_TRACKING_USERNAME": {**mlflow, "key": "username"},
            "MLFLOW_TRACKING_PASSWORD": {**mlflow, "key": "password"},
            "MLFLOW_TRACKING_TOKEN": {**mlflow, "key": "token"},
            "AWS_ACCESS_KEY_ID": {**s3, "key": "access_key"},
            "AWS_SECRET_ACCESS_KEY": {**s3, "key": "secret_key"},
        }
        assert all(CREDENTIALS.search(name) for name in secrets)
        assert not any(CREDENTIALS.search(name) for name in values)


def test_a_cluster_without_secrets_and_s3() -> None:
    overrides = ("kubeflow.mlflow_secret=", "kubeflow.s3_secret=", "kubeflow.s3=")
    for pod in pods("sinusoid-5shot", *overrides):
        (container,) = pod["containers"]
        names = [variable["name"] for variable in container["env"]]
        assert names == ["MLFLOW_TRACKING_URI"]
        assert "imagePullSecrets" not in pod


def test_the_image_is_pulled_with_the_secret() -> None:
    for pod in pods("sinusoid-5shot", "kubeflow.pull_secret=team-registry"):
        assert pod["imagePullSecrets"] == [{"name": "team-registry"}]


def test_the_service_finds_the_one_pod_of_its_deployment_alone() -> None:
    """One replica: adapted tasks are in its memory. KServe's pods have the InferenceService's labels."""
    inference_service, deployment, service = rendered()
    chosen = service["spec"]["selector"].items()
    assert deployment["spec"]["replicas"] == 1
    assert chosen == deployment["spec"]["selector"]["matchLabels"].items()
    assert chosen <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert not chosen <= inference_service["metadata"]["labels"].items()


def test_the_namespace_is_left_to_kubectl_where_none_is_given() -> None:
    assert all("namespace" not in found["metadata"] for found in rendered())
    assert {found["metadata"]["namespace"] for found in rendered(namespace="team")} == {"team"}


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
