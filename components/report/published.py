"""The paper's own results, to stand beside the measured ones."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.report.wording import signed


@dataclass(frozen=True)
class Published:
    """One value of the paper, or of the paper that a learner is from.

    ci95: None where it gives none. recalled: not confirmed by a second transcription.
    """

    mean: float
    ci95: float | None = None
    recalled: bool = False

    def text(self, metric: str) -> str:
        """With as many decimals as the paper prints."""
        shown = " ± ".join(
            f"{round(100 * value, 2):g}" if metric == "accuracy" else f"{value:.2f}"
            for value in (self.mean, self.ci95)
            if value is not None
        )
        shown = f"{shown} %" if metric == "accuracy" else signed(shown)
        return f"{shown} †" if self.recalled else shown


def published(experiment: str, algorithm: str, shots: int) -> Published | None:
    """The paper's score after one step with this many shots at test, where it has one."""
    value = _document().get(experiment, {}).get(algorithm, {}).get(shots)
    return Published(**value) if value else None


def published_protocol(experiment: str) -> str | None:
    """How the paper got its values for this experiment, where it has any."""
    protocol: str | None = _document().get(experiment, {}).get("protocol")
    return protocol


def both_iterations(experiment: str, iterations: int | None) -> str | None:
    """The meta-iterations of the paper's values beside those of the measured ones, where it has any.

    iterations: of the measured ones, where they were trained.
    """
    if experiment not in _document():
        return None
    number: int | None = _document()[experiment]["iterations"]
    paper = f"{number:,} meta-iterations" if number else "a number of meta-iterations that it does not say"
    here = f"; here, it is {iterations:,}" if iterations else ""
    return f"the paper's values are after {paper}{here}"


@functools.cache
def _document() -> dict[str, Any]:
    text = Path(__file__).with_name("published.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document
