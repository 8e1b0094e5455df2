"""The registered model: one task in, predictions after adaptation out.

    model = mlflow.pyfunc.load_model("models:/sinusoid-5shot@champion")
    model.predict({"support_examples": x, "support_labels": y, "query_examples": q})

A policy takes trajectories instead; see `AdaptingModel.predict`.

MLflow imports this file, which travels with the model as the package metasgd does: mlflow, torch and
safetensors are all that loading needs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metasgd.adaptation import Adapted
from metasgd.checkpoint import load_checkpoint
from metasgd.policy_adaptation import adapt, unadapted
from metasgd.rollouts import Trajectories
from metasgd.tasks import Examples


class AdaptingModel:
    """Adapts to each task that it is given by the learner's own number of test steps."""

    def __init__(self, checkpoint: Path) -> None:
        self.learner, self.meta, _ = load_checkpoint(checkpoint)

    def predict(self, model_input: Mapping[str, np.ndarray], params: Any = None) -> np.ndarray:
        """Class numbers, int64 [query], or values, float32 [query, outputs].

        model_input: support_examples [support, *shape] and query_examples [query, *shape] float32
            (pictures from 0 to 1), support_labels int64 [support] or float32 [support, outputs].
            Of a policy: support_observations float32 [trajectories, time, observations],
            support_actions float32 [trajectories, time, actions], support_rewards float32 and
            support_alive bool [trajectories, time], drawn by the policy before adaptation, and
            query_observations float32 [query, observations], which get their mean actions
            [query, actions] after one step.
        """
        given = {name: torch.as_tensor(np.asarray(value)) for name, value in model_input.items()}
        with torch.no_grad():
            if self.learner.problem.objective == "control":
                return self._act(given)
            support = Examples(given["support_examples"], given["support_labels"])
            adapted = self.learner.adapt(self.meta, support, self.learner.settings.test_steps)
            outputs = self.learner.predict(adapted, given["query_examples"])
        classes = self.learner.problem.objective == "classification"
        return (outputs.argmax(dim=-1) if classes else outputs).numpy()

    def _act(self, given: Mapping[str, torch.Tensor]) -> np.ndarray:
        # The trajectories of one task.
        drawn = Trajectories(*(given[f"support_{name}"].unsqueeze(0) for name in Trajectories._fields))
        policies = adapt(self.learner, unadapted(self.meta, 1), self.meta.alpha, drawn)
        policy = Adapted({name: value[0] for name, value in policies.theta.items()}, {})
        mean, _ = self.learner.predict(policy, given["query_observations"]).chunk(2, dim=-1)
        return mean.numpy()


def _load_pyfunc(data_path: str) -> AdaptingModel:
    """What MLflow calls, by this name, with the checkpoint's folder."""
    return AdaptingModel(Path(data_path))
