"""The registered model: one task in, predictions after adaptation out.

    model = mlflow.pyfunc.load_model("models:/sinusoid-5shot@champion")
    model.predict({"support_examples": x, "support_labels": y, "query_examples": q})

MLflow imports this file, which travels with the model as the package metasgd does: mlflow, torch and
safetensors are all that loading needs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metasgd.checkpoint import load_checkpoint


class AdaptingModel:
    """Adapts to each task that it is given by the learner's own number of test steps."""

    def __init__(self, checkpoint: Path) -> None:
        self.learner, self.meta, _ = load_checkpoint(checkpoint)

    def predict(self, model_input: Mapping[str, np.ndarray], params: Any = None) -> np.ndarray:
        """Class numbers, int64 [query], or values, float32 [query, outputs].

        model_input: support_examples [support, *shape] and query_examples [query, *shape] float32
            (pictures from 0 to 1), support_labels int64 [support] or float32 [support, outputs].
        """
        names = ("support_examples", "support_labels", "query_examples")
        support_x, support_y, query_x = (torch.as_tensor(np.asarray(model_input[name])) for name in names)
        with torch.no_grad():
            theta = self.learner.adapt(self.meta, support_x, support_y, self.learner.settings.test_steps)
            outputs = self.learner.predict(theta, query_x, support_x)
        classes = self.learner.problem.objective == "classification"
        return (outputs.argmax(dim=-1) if classes else outputs).numpy()


def _load_pyfunc(data_path: str) -> AdaptingModel:
    """What MLflow calls, by this name, with the checkpoint's folder."""
    return AdaptingModel(Path(data_path))
