"""The pod that serves a model: the image of every step, running components.serving.serve."""

from typing import Any

from pipelines.kubeflow.cluster import Cluster
from pipelines.kubeflow.serving import Served, Serving
from pipelines.pods import MLFLOW_KEYS, S3_KEYS, USER

Manifest = dict[str, Any]
TEMPORARY = "/tmp"  # noqa: S108  # a mount; the image writes nowhere else
# Imports take seconds, and the store of the model may be slow: five minutes, asked every five seconds.
STARTUP = {"periodSeconds": 5, "failureThreshold": 60, "timeoutSeconds": 5}
# No new requests after three questions in a row without an answer.
READINESS = {"periodSeconds": 5, "failureThreshold": 3, "timeoutSeconds": 5}
# A restart loses every adapted task, so a server that is only busy has two minutes.
LIVENESS = {"periodSeconds": 20, "failureThreshold": 6, "timeoutSeconds": 10}
# With a container, not with the pod: Knative refuses it there.
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def serving_pod(name: str, served: Served, cluster: Cluster, serving: Serving) -> Manifest:
    """Kubernetes' PodSpec. name: of its container."""
    pull = {"imagePullSecrets": [{"name": cluster.pull_secret}]} if cluster.pull_secret else {}
    resources = {"cpu": serving.cpu, "memory": serving.memory}
    container = {
        "name": name,
        "image": served.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "components.serving.serve"],
        "args": _arguments(served, serving),
        "env": _environment(cluster),
        "ports": [{"containerPort": serving.port, "protocol": "TCP"}],
        "resources": {"requests": resources, "limits": resources},
        "startupProbe": _probe(serving, STARTUP),
        "readinessProbe": _probe(serving, READINESS),
        "livenessProbe": _probe(serving, LIVENESS),
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": TEMPORARY}],
    }
    return {
        # The server never asks the Kubernetes API.
        "automountServiceAccountToken": False,
        # Or services of the namespace would set variables such as MLFLOW_PORT.
        "enableServiceLinks": False,
        **pull,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
    }


def _arguments(served: Served, serving: Serving) -> list[str]:
    options = {
        "version": served.version,
        "alias": served.alias,
        "host": "0.0.0.0",  # noqa: S104  # of the pod
        "port": serving.port,
        "most-tasks": serving.most_tasks,
        "most-megabytes": serving.most_megabytes,
        "minutes": serving.minutes,
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    # Kubernetes puts the variable NAME for $(NAME), and $ for $$.
    return [argument.replace("$", "$$") for argument in (served.model, *given)]


def _environment(cluster: Cluster) -> list[Manifest]:
    values = {"MLFLOW_TRACKING_URI": cluster.mlflow, "MLFLOW_S3_ENDPOINT_URL": cluster.s3}
    return [
        *({"name": name, "value": value} for name, value in values.items() if value),
        # Optional keys: a server takes a token, or a name and a password.
        *_from_secret(cluster.mlflow_secret, MLFLOW_KEYS, optional=True),
        *_from_secret(cluster.s3_secret, S3_KEYS, optional=False),
    ]


def _from_secret(secret: str, keys: dict[str, str], optional: bool) -> list[Manifest]:
    """Variables that the cluster fills: values of secrets never come through here."""
    if not secret:
        return []
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": optional}}}
        for key, variable in keys.items()
    ]


def _probe(serving: Serving, numbers: dict[str, int]) -> Manifest:
    return {"httpGet": {"path": "/health", "port": serving.port}, **numbers}
