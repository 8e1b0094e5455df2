"""Watches a training: every point of the curve goes to MLflow and to the terminal."""

from collections.abc import Mapping

from components.console.progress import Progress
from components.tracking.outbox import Outbox
from components.train.alarms import Alarms
from metasgd.loop import Point
from metasgd.resume import SavedState


class Watcher:
    """Shows every point of the curve, logs it to MLflow, and says aloud what looks wrong.

    logged: metric -> the last step that the run holds.
    """

    bar: Progress

    def __init__(self, outbox: Outbox, metric: str, alarms: Alarms, logged: Mapping[str, int]) -> None:
        self.outbox, self.metric, self.alarms, self.logged = outbox, metric, alarms, logged

    def repeat(self, found: SavedState) -> None:
        """Log what an interrupted training saw, so that this run's curves are whole."""
        self.outbox.log_history((point.iteration, self._unlogged(point)) for point in found.curve)

    def _unlogged(self, point: Point) -> dict[str, float]:
        """The values but those that an earlier attempt logged in this run."""
        values = self._values(point)
        return {name: value for name, value in values.items() if point.iteration > self.logged.get(name, -1)}

    def _values(self, point: Point) -> dict[str, float]:
        validation = {} if point.validation is None else {f"validation_{self.metric}": point.validation}
        return {**point.values, **validation}

    def __call__(self, point: Point) -> None:
        values = self._values(point)
        self.outbox.log_metrics(self._unlogged(point), step=point.iteration)
        self.bar(point.iteration, {name: value for name, value in values.items() if _is_shown(name)})
        for line in self.alarms(point):
            print(line, flush=True)


def _is_shown(name: str) -> bool:
    """Whether a value has a place beside the bar; MLflow keeps all."""
    return name in ("train_loss", "return_before", "return_after") or name.startswith("validation")
