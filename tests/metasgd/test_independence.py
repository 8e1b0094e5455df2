"""metasgd can be lifted out: it needs torch, numpy and safetensors, its settings nothing at all.

Its Gymnasium environment alone needs Gymnasium.
"""

import subprocess
import sys
from pathlib import Path

import metasgd

CHECKOUT = Path(metasgd.__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
    for path in (CHECKOUT / "metasgd").rglob("*.py")
    if path.name != "navigation_env.py"
)
FOREIGN = [
    "kfp", "mlflow", "dvc", "boto3", "pandas", "torchvision", "pydantic", "omegaconf", "yaml", "matplotlib",
    "scipy", "requests", "rich", "gymnasium", "components", "pipelines",
]  # fmt: skip

REFUSE = """
import sys
from importlib.machinery import ModuleSpec

class Refuse:  # at the import, not when a library only looks whether there is such a module
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.partition(".")[0] in {foreign!r} else None

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name + " is refused")

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Refuse())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_every_module_imports_without_the_pipelines_libraries() -> None:
    """All of metasgd imports where none of the services' libraries can be imported, and adapts."""
    imports = "\n".join(f"import {name}" for name in MODULES)
    use = """
import torch
from metasgd.learner import Learner, Problem
from metasgd.learners import build_learner
from metasgd.configuration import MlpSettings
from metasgd.learner_settings import GradientSettings
from metasgd.tasks import Examples
settings = GradientSettings("gradient", "per-parameter", (0.1, 0.1), {}, "all", "second", 1, 1, 0, True)
learner = build_learner(Problem("regression", (1,), 1), MlpSettings("mlp", (4,)), settings)
meta = learner.initial(torch.Generator().manual_seed(1))
print(len(learner.adapt(meta, Examples(torch.ones(2, 1), torch.ones(2, 1))).theta))
"""
    finished = python(REFUSE.format(foreign=FOREIGN) + imports + use)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "4"


def test_settings_and_errors_cost_no_torch() -> None:
    """Their checks can be used where there is no torch."""
    light = ["metasgd", "metasgd.configuration", "metasgd.errors"]
    finished = python(REFUSE.format(foreign=["torch", "numpy", *FOREIGN]) + f"import {', '.join(light)}")
    assert finished.returncode == 0, finished.stderr


def test_the_refusal_refuses() -> None:
    """The tests above can fail: what is refused cannot be imported."""
    finished = python(REFUSE.format(foreign=["torch"]) + "import metasgd.adaptation")
    assert "torch is refused" in finished.stderr
