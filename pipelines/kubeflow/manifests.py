"""What serves a registered model on a cluster, as YAML for `kubectl apply`: by KServe, or without it.

Two files, of which a cluster takes one: a KServe InferenceService, or a Deployment with its Service. The pod
is ours in both: KServe's own runtime for MLflow's models does not install what a model requires.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from metasgd.errors import InputError
from metasgd.files import write_atomically
from pipelines.kubeflow.cluster import Cluster
from pipelines.kubeflow.serving import Served, Serving
from pipelines.kubeflow.serving_pod import Manifest, serving_pod
from pipelines.pods import COMPONENT, PART_OF

PROJECT = "metasgd"
NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
# The container that KServe looks for.
PREDICTOR = "kserve-container"
# Kubernetes' own Deployments, not Knative's; KServe knows the word since 0.16.
MODE = {"serving.kserve.io/deploymentMode": "Standard"}
# Adapted tasks live in the memory of one pod. Session affinity would not keep clients with theirs: behind an
# ingress all clients have one address, and every pod that comes or goes moves some of them to another.
REPLICAS = 1
HEADER = "# Rendered by `make deploy` from the section kubeflow of params.yaml.\n"


@dataclass(frozen=True)
class Manifests:
    """The objects that serve `served` on `cluster`. Raises InputError where pods have no MLflow."""

    served: Served
    cluster: Cluster
    serving: Serving

    def __post_init__(self) -> None:
        if not self.cluster.mlflow:
            raise InputError(
                "kubeflow.mlflow is ''; expected an address: pods reach no store of this machine"
            )

    def files(self) -> dict[str, str]:
        """Name of the file -> its YAML."""
        return {
            "kserve.yaml": _yaml(self.inference_service()),
            "deployment.yaml": _yaml(self.deployment(), self.service()),
        }

    def inference_service(self) -> Manifest:
        """KServe's object."""
        scale = {"minReplicas": REPLICAS, "maxReplicas": REPLICAS}
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": self._metadata("predictor", MODE | self._annotations()),
            "spec": {"predictor": {**scale, **self._pod(PREDICTOR)}},
        }

    def deployment(self) -> Manifest:
        """The same pod without KServe."""
        pod = {"labels": self._labels("serving"), "annotations": self._annotations()}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata("serving", self._annotations()),
            "spec": {
                "replicas": REPLICAS,
                "selector": {"matchLabels": self._selector()},
                "template": {"metadata": pod, "spec": self._pod("server")},
            },
        }

    def service(self) -> Manifest:
        """The Deployment's address inside of the cluster."""
        port = {"name": "http", "port": 80, "targetPort": self.serving.port, "protocol": "TCP"}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._metadata("serving", self._annotations()),
            "spec": {"type": "ClusterIP", "selector": self._selector(), "ports": [port]},
        }

    def _pod(self, container: str) -> Manifest:
        return serving_pod(container, self.served, self.cluster, self.serving)

    def _metadata(self, component: str, annotations: dict[str, str]) -> Manifest:
        namespace = {"namespace": self.served.namespace} if self.served.namespace else {}
        labels = self._labels(component)
        return {"name": self.served.name, **namespace, "labels": labels, "annotations": annotations}

    def _labels(self, component: str) -> dict[str, str]:
        return {NAME: PROJECT, INSTANCE: self.served.name, COMPONENT: component, PART_OF: PROJECT}

    def _selector(self) -> dict[str, str]:
        """What tells these pods from all others, KServe's included; Kubernetes never lets it change."""
        return {NAME: PROJECT, INSTANCE: self.served.name, COMPONENT: "serving"}

    def _annotations(self) -> dict[str, str]:
        """The model as the registry knows it: on the cluster, its name may be another."""
        which = self.served.version or self.served.alias
        return {f"{PROJECT}/model": self.served.model, **({f"{PROJECT}/version": which} if which else {})}


class _Dumper(yaml.SafeDumper):
    """Writes out again what occurs again, in place of YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(*objects: Manifest) -> str:
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True)
    return f"{HEADER}{text}"


def write(manifests: Manifests, output: Path) -> Path:
    """Write the files into a folder of `output` that has the objects' name, and return that folder."""
    folder = output / manifests.served.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in manifests.files().items():
        write_atomically(folder / name, text.encode())
    return folder
