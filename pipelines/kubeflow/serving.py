"""What serving a model on a cluster asks for, and the name that the model goes by there."""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from components.config.parsing import STRICT
from components.config.settings import Count
from metasgd.errors import InputError

Cores = Annotated[str, Field(pattern=r"^(\d+(\.\d+)?|\d+m)$")]
Bytes = Annotated[str, Field(pattern=r"^\d+(Ki|[MGTPE]i?)?$")]
# What a Service, and with it KServe, takes as a name.
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST = 63  # characters of a part of a host name
# KServe appends this to the name, and the namespace to that, and makes it the first part of a host name.
SUFFIX = "-predictor"


@checked(frozen=True, config=STRICT)
class Serving:
    """The section `serving` of `kubeflow` in params.yaml, which explains every key."""

    cpu: Cores
    memory: Bytes
    port: Annotated[int, Field(ge=1024, le=65535)]
    most_tasks: Count
    most_megabytes: Count
    minutes: Count


@dataclass(frozen=True)
class Served:
    """What is served where.

    model: its name in the registry. version, alias: which of its versions; with neither, its champion.
    image: the reference of the image. namespace: None leaves it to `kubectl --namespace`.
    """

    model: str
    version: str | None
    alias: str | None
    image: str
    namespace: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError for what no registry and no cluster takes."""
        if not self.model or self.model.startswith("-") or {"/", ":"} & set(self.model):
            raise InputError(
                f"MODEL {self.model!r} is no name of a registered model; expected one of MLflow's"
            )
        if self.version is not None and self.alias is not None:
            raise InputError(
                f"VERSION {self.version} and ALIAS {self.alias} are both given; expected one of them"
            )
        if self.version is not None and not re.fullmatch(r"[1-9][0-9]*", self.version):
            raise InputError(f"VERSION is {self.version!r}; expected a whole number above 0")
        if self.namespace is not None and not _is_label(self.namespace):
            raise InputError(f"KFP_NAMESPACE is {self.namespace!r}; expected the name of a namespace")

    @property
    def name(self) -> str:
        """The model's name as Kubernetes takes it; one that had to change ends with a digest of what it was,
        so that no two models share one. Raises InputError for one that nothing can be made of."""
        name = self.model if NAME.fullmatch(self.model) else self._derived()
        longest = LONGEST - len(f"{SUFFIX}-{self.namespace}" if self.namespace else SUFFIX)
        if len(name) > longest:
            raise InputError(
                f"MODEL {self.model!r}: its name on Kubernetes, {name}, has {len(name)} characters; "
                f"expected at most {longest}"
            )
        return name

    def _derived(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")
        if not words:
            raise InputError(
                f"MODEL {self.model!r}: no name on Kubernetes follows from it; expected letters from a to z"
            )
        begun = words if words[0].isalpha() else f"model-{words}"
        return f"{begun}-{hashlib.sha256(self.model.encode()).hexdigest()[:8]}"


def _is_label(text: str) -> bool:
    return len(text) <= LONGEST and re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text) is not None
