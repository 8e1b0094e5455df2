"""What the pipeline compiled for a cluster says about its pods, held against what is promised."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components.kinds.experiment import load_experiment
from metasgd.errors import InputError
from pipelines.dag import compile_pipeline
from pipelines.kubeflow.cluster import load_cluster
from pipelines.pods import Pods

IMAGE = "registry.example.org/team/metasgd-python:0123456789ab"
GPU = "nvidia.com/gpu"
LANES = ("sinusoid-5shot", "navigation-short")


def compiled(folder: Path, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The executors of the pipeline, and what Kubernetes is told about each."""
    package = folder / "pipeline.yaml"
    experiments = [load_experiment(name) for name in LANES]
    compile_pipeline(experiments, [1], package, Pods(IMAGE, load_cluster(overrides)))
    spec, platform = yaml.safe_load_all(package.read_text())
    ParseDict(spec, PipelineSpec())  # strict, as the server's
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return spec, executors


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return compiled(tmp_path_factory.mktemp("cluster"))


def containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: found["container"] for name, found in spec["deploymentSpec"]["executors"].items()}


def is_training(executor: str) -> bool:
    return executor.startswith("exec-train")


def test_every_step_has_its_pod(package: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Both documents speak of the same executors, and Kubernetes' part is what kfp's backend parses."""
    spec, pods = package
    assert pods.keys() == containers(spec).keys()
    for pod in pods.values():
        ParseDict(pod, KubernetesExecutorConfig())


def test_every_container_is_of_the_one_image_and_says_so(package: tuple[dict[str, Any], Any]) -> None:
    for container in containers(package[0]).values():
        assert container["image"] == IMAGE
        assert {"name": "METASGD_IMAGE", "value": IMAGE} in container["env"]


def test_only_trainings_ask_for_gpus(package: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Type and count are baked in; tolerations stand with them."""
    spec, pods = package
    for name, container in containers(spec).items():
        accelerator = container["resources"].get("accelerator")
        if is_training(name):
            assert (accelerator["resourceType"], accelerator["resourceCount"]) == (GPU, "1")
            assert pods[name]["tolerations"] == [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
        else:
            assert accelerator is None
            assert "tolerations" not in pods[name]


def test_no_gpus_and_chosen_nodes(tmp_path: Path) -> None:
    """kubeflow.gpu.count may be zero; a node selector goes to trainings alone."""
    spec, pods = compiled(tmp_path, "kubeflow.gpu.count=0", "kubeflow.node_selector={pool: fast}")
    assert all("accelerator" not in container["resources"] for container in containers(spec).values())
    chosen = {name for name, pod in pods.items() if "nodeSelector" in pod}
    assert chosen == {name for name in pods if is_training(name)}
    assert all(pods[name]["nodeSelector"]["labels"] == {"pool": "fast"} for name in chosen)


def test_every_step_asks_for_what_params_yaml_gives_it(
    package: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """CPU, memory, shared memory and the time limit."""
    asked = load_cluster().pods
    for name, container in containers(package[0]).items():
        pod = asked[name.removeprefix("exec-").rstrip("-0123456789")]
        resources, platform = container["resources"], package[1][name]
        assert resources["resourceCpuRequest"] == resources["resourceCpuLimit"] == pod.cpu
        assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"] == pod.memory
        assert platform["activeDeadlineSeconds"] == str(pod.minutes * 60)
        (shared,) = platform["emptyDirMounts"]
        assert (shared["mountPath"], shared["medium"]) == ("/dev/shm", "Memory")  # noqa: S108
        assert shared["sizeLimit"] == pod.shared_memory


def steps_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks of all lanes, those in loops too, and the last one."""
    dags = [found["dag"] for found in spec["components"].values() if "dag" in found]
    tasks = {name: task for dag in [spec["root"]["dag"], *dags] for name, task in dag["tasks"].items()}
    return {name: task for name, task in tasks.items() if not name.startswith(("for-loop", "exit-handler"))}


def test_every_task_is_tried_again_and_may_take_its_time_each_time(
    package: tuple[dict[str, Any], Any],
) -> None:
    """Argo's maximum counts from the first attempt's start: four attempts, and pauses of 30, 60 and 120 s."""
    longest = {
        "preprocess": 4 * 3600 + 210,
        "train": 4 * 24 * 3600 + 210,
        "evaluate": 4 * 7200 + 210,
        "rollout": 4 * 7200 + 210,
        "promote": 4 * 3600 + 210,
        "report": 4 * 1800 + 210,
        "finish": 4 * 600 + 210,
    }
    steps = steps_of(package[0])
    assert len(steps) == 2 * 5 + 1
    for name, task in steps.items():
        assert task["retryPolicy"] == {
            "maxRetryCount": 3,
            "backoffDuration": "30s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": f"{longest[name.rstrip('-0123456789')]}s",
        }


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ("{count: 0, backoff: 30s, factor: 2}", 600),
        ("{count: 2, backoff: 1m, factor: 1}", 3 * 600 + 120),
        ("{count: 2, backoff: 1h, factor: 3}", 3 * 600 + 3600 + 3 * 3600),
    ],
)
def test_retries_hold_every_attempt_and_every_pause(settings: str, seconds: int) -> None:
    assert load_cluster([f"kubeflow.retries={settings}"]).retries.seconds(minutes=10) == seconds


def test_pods_say_what_they_are_of(package: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Two labels each: their number is part of the pods' names, by which logs are found."""
    for name, pod in package[1].items():
        step = name.removeprefix("exec-").rstrip("-0123456789")
        labels = {"app.kubernetes.io/part-of": "metasgd", "app.kubernetes.io/component": step}
        assert pod["podMetadata"] == {"labels": labels}


def test_the_last_step_alone_knows_the_api(package: tuple[dict[str, Any], Any], tmp_path: Path) -> None:
    silent, _ = compiled(tmp_path, "kubeflow.api=")
    for name, container in containers(package[0]).items():
        api = {"name": "METASGD_KFP_API", "value": "http://ml-pipeline.kubeflow.svc:8888"}
        assert (api in container["env"]) == (name == "exec-finish")
    assert "METASGD_KFP_API" not in yaml.safe_dump(silent)


def test_credentials_come_from_named_secrets_and_nowhere_else(
    package: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """No container has a credential's variable with a value; every pod takes it from the secret."""
    spec, pods = package
    for name, container in containers(spec).items():
        given = {variable["name"] for variable in container["env"]}
        assert {"MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"} <= given
        assert not {variable for variable in given if "KEY" in variable or "PASSWORD" in variable}
        secrets = {secret["secretName"]: secret["keyToEnv"] for secret in pods[name]["secretAsEnv"]}
        assert {found["envVar"] for found in secrets["metasgd-s3"]} == {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        }
        assert "MLFLOW_TRACKING_PASSWORD" in {found["envVar"] for found in secrets["metasgd-mlflow"]}


def test_pods_know_their_run_by_the_downward_api_alone(
    package: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """As an input it would keep the cache from hitting."""
    expected = {"name": "METASGD_PIPELINE_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}
    assert all(pod["fieldPathAsEnv"] == [expected] for pod in package[1].values())
    assert "pipeline_job" not in yaml.safe_dump(package[0])
    assert "METASGD_PIPELINE_RUN" not in yaml.safe_dump(package[0])


def test_pods_are_not_root(package: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for pod in package[1].values():
        assert pod["securityContext"] == {"runAsUser": "1000", "runAsNonRoot": True}


def test_trainings_keep_their_state_on_s3_or_a_volume(
    package: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    """The place outlives the pod; only trainings have it."""
    spec, pods = compiled(tmp_path, "kubeflow.states_claim=scratch")
    for name, container in containers(package[0]).items():
        states = {"name": "METASGD_STATES", "value": "s3://metasgd/states"}
        assert (states in container["env"]) == is_training(name)
    for name, container in containers(spec).items():
        states = {"name": "METASGD_STATES", "value": "/states"}
        assert (states in container["env"]) == is_training(name)
        claims = [mount["constant"] for mount in pods[name].get("pvcMount", [])]
        assert claims == (["scratch"] if is_training(name) else [])


def test_what_pods_download_is_an_input(tmp_path: Path) -> None:
    """The hash of the data belongs to what the cache keys on."""
    package = tmp_path / "pipeline.yaml"
    pin = '{"md5": "0123.dir", "remote": "s3://bucket/dvc"}'
    experiment = load_experiment("omniglot-5way-1shot")
    compile_pipeline([experiment], [1], package, Pods(IMAGE, load_cluster()), {experiment.name: pin})
    spec, _ = yaml.safe_load_all(package.read_text())
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert tasks["preprocess"]["inputs"]["parameters"]["pinned"]["runtimeValue"]["constant"] == pin


def test_on_this_machine_nothing_of_kubernetes_is_said(tmp_path: Path) -> None:
    """One document; no retries, which would only repeat a user's error."""
    package = tmp_path / "pipeline.yaml"
    compile_pipeline([load_experiment(LANES[0])], [1], package)
    (spec,) = yaml.safe_load_all(package.read_text())
    assert "retryPolicy" not in yaml.safe_dump(spec)
    assert "resources" not in yaml.safe_dump(containers(spec))


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("kubeflow.gpu.cout=1", "key 'cout' is unknown; expected one of type, count"),
        ("kubeflow.gpu.count=-1", "gpu.count"),
        ("kubeflow.pods.train.memory=16GB", "pods.train.memory"),
        ("kubeflow.pods.train.memory=1.5Gi", "pods.train.memory"),
        ("kubeflow.pods.train.cpu=1.5m", "pods.train.cpu"),
        ("kubeflow.retries.backoff=soon", "retries.backoff"),
        ("kubeflow.retries.factor=1.5", "retries.factor"),
        ("kubeflow.mlflow_secret=Team_A", "mlflow_secret"),
        ("kubeflow.mlflow=mlflow:5000", "mlflow: expected an address as http://host:port"),
        ("kubeflow.mlflow_ui=https://me@mlflow.example.org", "mlflow_ui: holds credentials"),
        ("kubeflow.states_claim=/states", "states_claim"),
        ("kubeflow.gpu.type=one gpu", "gpu.type"),
        ("kubeflow.node_selector={pool: a b}", "node_selector.pool"),
    ],
)
def test_what_the_cluster_would_refuse_is_refused_here(override: str, line: str) -> None:
    """In one line that names the key."""
    with pytest.raises(InputError, match=line):
        load_cluster([override])
