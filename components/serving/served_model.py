"""The registered model: tasks in, predictions after adaptation out.

    model = mlflow.pyfunc.load_model("models:/sinusoid-5shot@champion")
    model.predict({"support_examples": x, "support_labels": y, "query_examples": q})

A policy takes trajectories instead; see `AdaptingModel.predict`.

MLflow imports this file, which travels with the model as the package metasgd does: mlflow, torch and
safetensors are all that loading needs.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mlflow.exceptions import MlflowException
from torch import Tensor

from metasgd.checkpoint import load_checkpoint
from metasgd.errors import InputError
from metasgd.learner import Adapted
from metasgd.policy_adaptation import adapt, unadapted
from metasgd.rollouts import Trajectories
from metasgd.serving import ServedModel
from metasgd.tasks import Examples

# What `params` may hold beside the number of `steps`, with what it is when it is not given.
SIZES: dict[str, Any] = {"support_sizes": [], "query_sizes": []}
PARAMS: dict[str, dict[str, Any]] = {
    "classification": {"probabilities": False, **SIZES},
    "regression": SIZES,
    "control": {"sampling_seed": -1},
}


class AdaptingModel:
    """Adapts to each task that it is given, and predicts each query for itself."""

    def __init__(self, checkpoint: Path) -> None:
        learner, self.meta, about = load_checkpoint(checkpoint)
        self.served, self.learner = ServedModel(learner, self.meta), learner.served
        tasks = about.get("tasks") or {}
        self.clip: float | None = tasks.get("distribution", {}).get("clip")  # of actions

    @property
    def params(self) -> dict[str, Any]:
        """What `params` may hold, with its defaults."""
        return {"steps": self.learner.settings.test_steps, **PARAMS[self.learner.problem.objective]}

    def predict(
        self, model_input: Mapping[str, np.ndarray], params: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Class numbers, int64 [query], or values, float32 [query, outputs].

        model_input: support_examples [support, *shape] and query_examples [query, *shape] float32
            (pictures from 0 to 1), support_labels int64 [support] or float32 [support, outputs].
            Of a policy: support_observations float32 [trajectories, time, observations],
            support_actions float32 [trajectories, time, actions], support_rewards float32 and
            support_alive bool [trajectories, time], drawn by the policy before adaptation, and
            query_observations float32 [query, observations], which get actions [query, actions].
        params: steps, the number of inner steps; 0 is the model before adaptation.
            probabilities: of the classes, float32 [query, classes], in place of their numbers.
            support_sizes, query_sizes: of several tasks, whose examples stand one after the other, the number
            of examples of each. Tasks with fewer classes than others have probabilities of 0 for the rest.
            sampling_seed: of a policy. With one, actions are drawn from the policy, unclipped, as support
            trajectories need them; without, they are its means, clipped as its environment clips them.
        Raises MlflowException with one line for what is wrong.
        """
        given = {name: torch.as_tensor(np.asarray(value)) for name, value in model_input.items()}
        chosen = self.params | dict(params or {})
        try:
            self._require_known(chosen)
            if self.learner.problem.objective == "control":
                return self._act(given, chosen)
            return self._predict(given, chosen)
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None

    def _require_known(self, chosen: Mapping[str, Any]) -> None:
        if unknown := sorted(chosen.keys() - self.params.keys()):
            known = ", ".join(self.params)
            raise InputError(f"params.{unknown[0]} is unknown; expected some of {known}")
        if not 0 <= chosen["steps"] <= 1000:
            raise InputError(f"params.steps is {chosen['steps']}; expected 0 to 1000")

    def _predict(self, given: Mapping[str, Tensor], chosen: Mapping[str, Any]) -> np.ndarray:
        outputs = []
        for support, query in _tasks(given, chosen["support_sizes"], chosen["query_sizes"]):
            task = self.served.adapt(support, chosen["steps"])
            outputs.append(task.predict(query))
        if self.learner.problem.objective == "regression":
            return torch.cat(outputs).numpy()
        if not chosen["probabilities"]:
            return torch.cat([logits.argmax(dim=-1) for logits in outputs]).numpy()
        most = max(logits.shape[1] for logits in outputs)
        found = [F.pad(logits.softmax(dim=-1), (0, most - logits.shape[1])) for logits in outputs]
        return torch.cat(found).numpy()

    @torch.no_grad()
    def _act(self, given: Mapping[str, Tensor], chosen: Mapping[str, Any]) -> np.ndarray:
        drawn = _trajectories(given)
        policies = unadapted(self.meta, 1)
        for _ in range(chosen["steps"]):
            policies = adapt(self.learner, policies, self.meta.alpha, drawn)
        policy = Adapted({name: value[0] for name, value in policies.theta.items()}, {})
        mean, log_std = self.learner.predict(policy, given["query_observations"]).chunk(2, dim=-1)
        if (seed := chosen["sampling_seed"]) >= 0:
            noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
            return (mean + log_std.exp() * noise).numpy()
        return (mean if self.clip is None else mean.clamp(-self.clip, self.clip)).numpy()


def _tasks(
    given: Mapping[str, Tensor], support_sizes: Sequence[int], query_sizes: Sequence[int]
) -> Iterator[tuple[Examples, Tensor]]:
    """(support, query examples) of each task; without sizes, there is one."""
    x, y, query = given["support_examples"], given["support_labels"], given["query_examples"]
    supports, queries = list(support_sizes) or [len(x)], list(query_sizes) or [len(query)]
    if len(supports) != len(queries):
        raise InputError(
            f"{len(supports)} support_sizes and {len(queries)} query_sizes; expected equal numbers"
        )
    for name, sizes, count in (("support", supports, len(x)), ("query", queries, len(query))):
        if min(sizes) < 1 or sum(sizes) != count:
            raise InputError(f"{name}_sizes are {sizes}; expected numbers above 0 with the sum {count}")
    if len(y) != len(x):
        raise InputError(f"{len(y)} support labels; expected {len(x)}, one for each example")
    parts = zip(torch.split(x, supports), torch.split(y, supports), torch.split(query, queries), strict=True)
    for support_x, support_y, query_x in parts:
        yield Examples(support_x, support_y), query_x


def _trajectories(given: Mapping[str, Tensor]) -> Trajectories:
    """Those of one task, [1, trajectories, time, ...]."""
    parts = {name: given[f"support_{name}"] for name in Trajectories._fields}
    sizes = {name: list(part.shape[:2]) for name, part in parts.items()}
    for name, size in sizes.items():
        if size != sizes["alive"]:
            raise InputError(
                f"support_{name} are {size} trajectories x time; expected {sizes['alive']}, as support_alive"
            )
        if not parts[name].isfinite().all():
            raise InputError(f"support_{name} hold values that are not finite; expected numbers")
    return Trajectories(*(part.unsqueeze(0) for part in parts.values()))


def _load_pyfunc(data_path: str) -> AdaptingModel:
    """What MLflow calls, by this name, with the checkpoint's folder."""
    return AdaptingModel(Path(data_path))
