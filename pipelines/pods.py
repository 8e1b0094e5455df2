"""What the compiled pipeline asks for each task: its image and, on a cluster, its pod.

kfp's local runners take the image (or none) and the environment, and know nothing of the rest.
"""

from dataclasses import dataclass

from kfp import dsl, kubernetes

from components.config.environment import IMAGE, KFP_API, MLFLOW_UI, PIPELINE_RUN, STATES
from pipelines.kubeflow.cluster import Cluster

USER = 1000  # the image's own
RUN_ID = "metadata.labels['pipeline/runid']"
STATES_FOLDER = "/states"
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a mount, not a file of ours
# Key in the secret -> environment variable.
MLFLOW_KEYS = {
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "token": "MLFLOW_TRACKING_TOKEN",
}
# For `kubectl --selector`, and the pod's page in the Kubeflow UI. Their number is part of the pods' names
# (pipelines.kubeflow.workflow).
PART_OF, COMPONENT = "app.kubernetes.io/part-of", "app.kubernetes.io/component"
S3_KEYS = {"access_key": "AWS_ACCESS_KEY_ID", "secret_key": "AWS_SECRET_ACCESS_KEY"}


@dataclass(frozen=True)
class Pods:
    """image: the reference of every task's image. cluster: None where the pipeline runs on this machine."""

    image: str
    cluster: Cluster | None = None

    def fit(self, task: dsl.PipelineTask, step: str) -> dsl.PipelineTask:
        """The task with everything its step asks for."""
        task.set_container_image(self.image)
        if self.cluster is None:
            # What preprocess reads are files here, and a cache does not see whether they have changed.
            return task.set_caching_options(step != "preprocess")
        task.set_caching_options(self.cluster.caching)
        _ask_for_resources(task, step, self.cluster)
        _ask_for_services(task, self.cluster)
        kubernetes.set_image_pull_policy(task, "IfNotPresent")
        if self.cluster.pull_secret:
            kubernetes.set_image_pull_secrets(task, [self.cluster.pull_secret])
        kubernetes.set_security_context(task, run_as_user=USER, run_as_non_root=True)
        # By the downward API: as an input, what differs from run to run would defeat the cache.
        kubernetes.use_field_path_as_env(task, PIPELINE_RUN, RUN_ID)
        task.set_env_variable(IMAGE, self.image)
        kubernetes.add_pod_label(task, PART_OF, "metasgd")
        kubernetes.add_pod_label(task, COMPONENT, step)
        if step == "train":
            _ask_for_training(task, self.cluster)
        if step == "finish" and self.cluster.api:
            task.set_env_variable(KFP_API, self.cluster.api)
        return task


def _ask_for_resources(task: dsl.PipelineTask, step: str, cluster: Cluster) -> None:
    pod, retries = cluster.pods[step], cluster.retries
    task.set_cpu_request(pod.cpu).set_cpu_limit(pod.cpu)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory)
    task.set_retry(retries.count, retries.backoff, retries.factor, f"{retries.seconds(pod.minutes)}s")
    kubernetes.set_timeout(task, pod.minutes * 60)
    kubernetes.empty_dir_mount(
        task, "shared-memory", SHARED_MEMORY, medium="Memory", size_limit=pod.shared_memory
    )


def _ask_for_services(task: dsl.PipelineTask, cluster: Cluster) -> None:
    if cluster.mlflow:
        task.set_env_variable("MLFLOW_TRACKING_URI", cluster.mlflow)
    if cluster.mlflow_page:
        task.set_env_variable(MLFLOW_UI, cluster.mlflow_page)
    if cluster.s3:
        task.set_env_variable("AWS_ENDPOINT_URL", cluster.s3)
        task.set_env_variable("MLFLOW_S3_ENDPOINT_URL", cluster.s3)
    if cluster.mlflow_secret:
        # Optional keys: a server takes a token, or a name and a password.
        kubernetes.use_secret_as_env(task, cluster.mlflow_secret, MLFLOW_KEYS, optional=True)
    if cluster.s3_secret:
        kubernetes.use_secret_as_env(task, cluster.s3_secret, S3_KEYS)


def _ask_for_training(task: dsl.PipelineTask, cluster: Cluster) -> None:
    """GPUs, the nodes that have them, and the place that outlives a preempted pod."""
    if cluster.gpu.count:
        task.set_accelerator_type(cluster.gpu.type).set_accelerator_limit(cluster.gpu.count)
    for label, value in cluster.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in cluster.tolerations:
        kubernetes.add_toleration(
            task, key=taint.key, operator=taint.operator, value=taint.value or None, effect=taint.effect
        )
    if cluster.states_claim:
        kubernetes.mount_pvc(task, cluster.states_claim, STATES_FOLDER)
    task.set_env_variable(STATES, STATES_FOLDER if cluster.states_claim else cluster.states)
