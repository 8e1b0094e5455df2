"""What runs beside a GPU needs torch, NumPy and safetensors alone, whatever else is installed."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from components.config.code import ROOT
from tests.benchmarks.gpu.conftest import PICTURES, Tiny
from tests.metasgd.test_independence import REFUSE

USE = """
import sys
from benchmarks.gpu import check, prepared, row, speed, train
sys.argv = ["train", {name!r}, "--prepared", {folder!r}, "--state", {out!r}, "--out", {out!r},
            "--device", "cpu", "--iterations", "1"]
train.main()
sys.argv = ["check", "policies-agree", "--device", "cpu"]
check.main()
"""


def required(name: str, seen: set[str]) -> set[str]:
    """A distribution and all that it needs, in whatever case and with whatever dashes."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key not in seen:
        seen.add(key)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:  # on another system
            needs = []
        for need in needs:
            if "extra ==" not in need:
                required(re.split(r"[^\w.-]", need, maxsplit=1)[0], seen)
    return seen


def foreign() -> list[str]:
    """Top-level modules of all other distributions."""
    allowed: set[str] = set()
    for name in ("torch", "numpy", "safetensors"):
        required(name, allowed)
    return sorted(
        module
        for module, owners in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & {*allowed, "metasgd"}
    )


def test_what_runs_beside_a_gpu_needs_no_other_library(tiny: Tiny) -> None:
    refused = foreign()
    assert {"pydantic", "mlflow", "pandas", "yaml", "rich", "pytest"} <= set(refused)
    assert not {"torch", "numpy", "safetensors"} & set(refused)
    out = str(tiny.folder.parent / "alone")
    code = REFUSE.format(foreign=refused) + USE.format(name=PICTURES, folder=str(tiny.folder), out=out)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"wrote {out}/{PICTURES}-meta-sgd-seed1" in done.stdout
    assert "1 of 1 checks hold" in done.stdout
