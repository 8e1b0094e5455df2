"""What serves a model on a cluster: known fields, a pod without rights, tokens from secrets alone."""

import re

import kubernetes_validate
import pytest

from components.serving.serve import _parser
from pipelines.kubeflow.serving import Serving
from tests.pipelines.serving_objects import IMAGE, containers, pods, rendered

VERSIONS = ("1.30", "1.36")  # of Kubernetes: an old one, and that of docs/kubeflow.md

CREDENTIALS = re.compile("USERNAME|PASSWORD|TOKEN|KEY")


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
