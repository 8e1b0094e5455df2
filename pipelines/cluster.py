"""The section `kubeflow` of params.yaml: what a run on Kubeflow asks of the cluster."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from components.parameters import PARAMS_FILE, STRICT, Count, load_section
from metasgd.errors import InputError

Cores = Annotated[str, Field(pattern=r"^\d+(\.\d+)?m?$")]
Bytes = Annotated[str, Field(pattern=r"^\d+(\.\d+)?([KMGT]i?)?$")]
Duration = Annotated[str, Field(pattern=r"^\d+[smhd]$")]
# "SET=kubeflow.mlflow=" says nothing, too.
Optional = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
STEPS = ("preprocess", "train", "evaluate", "rollout", "promote", "report", "finish")


@dataclass(frozen=True, config=STRICT)
class Pod:
    """What a step's pod asks for: CPU cores, memory and shared memory as Kubernetes writes them, and
    the minutes after which it is stopped."""

    cpu: Cores
    memory: Bytes
    shared_memory: Bytes
    minutes: Count


@dataclass(frozen=True, config=STRICT)
class Gpu:
    """What a training asks for besides; count 0 trains on the CPU."""

    type: str
    count: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Toleration:
    """A taint that pods of trainings tolerate. value: "" where the operator is Exists."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True, config=STRICT)
class Retries:
    """How often a failed pod is tried again; backoff and longest are durations as in "30s"."""

    count: Annotated[int, Field(ge=0)]
    backoff: Duration
    factor: Annotated[float, Field(ge=1)]
    longest: Duration


@dataclass(frozen=True, config=STRICT)
class Cluster:
    """What a run on Kubeflow asks of the cluster. Every key is explained in params.yaml."""

    experiment: str
    mlflow: Optional
    s3: Optional
    mlflow_secret: Optional
    s3_secret: Optional
    pull_secret: Optional
    states: Optional
    states_claim: Optional
    caching: bool
    retries: Retries
    gpu: Gpu
    node_selector: dict[str, str]
    tolerations: list[Toleration]
    pods: dict[str, Pod]


def load_cluster(overrides: Iterable[str] = (), params: Path = PARAMS_FILE) -> Cluster:
    """Read and check the section. Raises InputError naming the key that is wrong."""
    cluster = load_section(Cluster, "kubeflow", overrides, params)
    if absent := [step for step in STEPS if step not in cluster.pods]:
        raise InputError(f"{params}: kubeflow.pods lacks {absent[0]}; expected every step")
    return cluster
