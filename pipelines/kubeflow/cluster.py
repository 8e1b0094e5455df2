"""The section `kubeflow` of params.yaml: what a run on Kubeflow asks of the cluster."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass

from components.config.document import PARAMS_FILE, load_section
from components.config.parsing import STRICT
from components.config.settings import Count
from metasgd.errors import InputError
from pipelines.kubeflow.serving import Bytes, Cores, Serving

# What Kubernetes, Argo and kfp all take: what one of them refuses would fail only once the run is under way.
LABEL = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)"
DOMAIN = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
Duration = Annotated[str, Field(pattern=r"^\d+[smhd]$")]
Key = Annotated[str, Field(pattern=rf"^({DOMAIN}/)?{LABEL}$")]
Value = Annotated[str, Field(pattern=rf"^{LABEL}?$")]
# "SET=kubeflow.mlflow=" says nothing, too.
Optional = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Name = Annotated[Optional, Field(pattern=rf"^({DOMAIN})?$")]


def _address(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("expected an address as http://host:port")
    if urlsplit(value).username is not None:
        raise ValueError("holds credentials; expected them in the secret alone")
    return value.rstrip("/")


Address = Annotated[Optional, AfterValidator(_address)]
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STEPS = ("preprocess", "train", "evaluate", "rollout", "promote", "report", "choose", "finish")


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

    type: Key
    count: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Toleration:
    """A taint that pods of trainings tolerate. value: "" where the operator is Exists."""

    key: Key
    operator: Literal["Exists", "Equal"]
    value: Value
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True, config=STRICT)
class Retries:
    """How often a lost pod starts again: after `backoff` ("30s"), and then `factor` times later each time."""

    count: Annotated[int, Field(ge=0)]
    backoff: Duration
    factor: Count

    def seconds(self, minutes: int) -> int:
        """From the first attempt's start to the last one's end, where each takes `minutes`.

        Argo ends every later attempt at this time (its `backoff.maxDuration`), so it must hold them all.
        """
        first_pause = int(self.backoff[:-1]) * UNITS[self.backoff[-1]]
        pauses: int = sum(first_pause * self.factor**attempt for attempt in range(self.count))
        return minutes * 60 * (self.count + 1) + pauses


@dataclass(frozen=True, config=STRICT)
class Cluster:
    """What a run on Kubeflow asks of the cluster. Every key is explained in params.yaml."""

    experiment: Annotated[str, Field(min_length=1)]
    api: Address
    mlflow: Address
    mlflow_ui: Address
    s3: Address
    mlflow_secret: Name
    s3_secret: Name
    pull_secret: Name
    states: Optional
    states_claim: Name
    caching: bool
    retries: Retries
    gpu: Gpu
    node_selector: dict[Key, Value]
    tolerations: list[Toleration]
    pods: dict[str, Pod]
    serving: Serving

    @property
    def mlflow_page(self) -> str:
        """MLflow's address as browsers see it; "" where it is not known."""
        return self.mlflow_ui or self.mlflow


def load_cluster(overrides: Iterable[str] = (), params: Path = PARAMS_FILE) -> Cluster:
    """Read and check the section. Raises InputError naming the key that is wrong."""
    cluster = load_section(Cluster, "kubeflow", overrides, params)
    if absent := [step for step in STEPS if step not in cluster.pods]:
        raise InputError(f"{params}: kubeflow.pods lacks {absent[0]}; expected every step")
    return cluster


def require_cluster_alone(overrides: Iterable[str], what: str) -> None:
    """Raises InputError for an override of an experiment, which takes no part in `what`."""
    for text in overrides:
        if not text.startswith("kubeflow."):
            raise InputError(f"SET {text!r}: takes no part in {what}; expected a key of kubeflow")
