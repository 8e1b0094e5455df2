"""What goes wrong in meta-training by reinforcement without stopping it, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from metasgd.loop import Point

PATIENCE = 5  # points of the curve in a row before a trouble that lasts is told
WIDE, NARROW = 2.0, -5.0  # log standard deviations far outside of what actions in [-1, 1] can use


@dataclass
class Alarms:
    """Told every point of the curve; gives the lines to print. Each trouble is told when it sets in.

    The numbers behind them are metrics of every point: return_before, return_after, accepted
    (share of iterations whose line search found a step), log_std and log_std_after.
    """

    name: str
    refused: int = 0
    worse: int = 0
    wide: bool = False

    def __call__(self, point: Point) -> Iterator[str]:
        values = point.values
        if "accepted" not in values:
            return
        where = f"{self.name}: warning: iteration {point.iteration}:"
        self.refused = self.refused + 1 if values["accepted"] == 0 else 0
        if self.refused == PATIENCE:
            yield (
                f"{where} the line search found no step {PATIENCE} times in a row, so nothing is learned; "
                "try a smaller train.max_kl, or more train.backtracks"
            )
        self.worse = self.worse + 1 if values["return_after"] < values["return_before"] else 0
        if self.worse == PATIENCE:
            yield (
                f"{where} returns fell by adaptation {PATIENCE} times in a row, now from "
                f"{values['return_before']:.1f} to {values['return_after']:.1f}; try a smaller start of alpha"
            )
        log_std = max((values["log_std"], values["log_std_after"]), key=abs)
        far = not NARROW < log_std < WIDE
        if far and not self.wide:
            yield f"{where} the policy's log standard deviation is {log_std:.1f}; it started near 0"
        self.wide = far
