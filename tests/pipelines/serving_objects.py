"""What `make deploy` renders, as objects."""

from typing import Any

import yaml

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
