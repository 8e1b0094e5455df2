"""A sweep on its way to a cluster."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.dag import NAME, Lane
from pipelines.kubeflow.submission import Submission
from pipelines.sweeps.dag import compile_sweep
from pipelines.sweeps.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class SweepSubmission(Submission):
    """As any other: what is checked and followed is the same."""

    sweep: Sweep

    @property
    def name(self) -> str:
        return f"{NAME} {self.sweep.name}"

    @property
    def lanes(self) -> list[Lane]:
        return [self.sweep.lane]

    def compile(self, package: Path) -> None:
        pinned = self.pins.get(self.sweep.experiment.name, "")
        compile_sweep(self.sweep, package, self.pods, pinned, self.check)
