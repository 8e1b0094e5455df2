"""Sine regression (section 5.1): y = A sin(w x + b), every task its own amplitude, frequency and phase."""

from dataclasses import dataclass

import torch
from torch import Tensor

from metasgd.configuration import SinusoidSettings
from metasgd.errors import InputError
from metasgd.tasks import Batch


@dataclass(frozen=True)
class Sinusoid:
    """p(T) over sine curves. Implements `metasgd.tasks.TaskDistribution`."""

    settings: SinusoidSettings

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        shots, queries = self.settings.shots, self.settings.queries
        curves = self._curves(count, generator)
        x = self._uniform(self.settings.interval, (count, shots + queries), generator)
        return self._batch(curves, x[:, :shots], x[:, shots:])

    def draw_fixed(
        self, count: int, shots: int, queries: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Curves [tasks, 3] and support points [tasks, shots]; query points are evenly spaced."""
        curves = self._curves(count, generator)
        return {
            "curves": curves,
            "support_x": self._uniform(self.settings.interval, (count, shots), generator),
        }

    def fixed_batch(self, fixed: dict[str, Tensor], shots: int, queries: int) -> Batch:
        stored = fixed["support_x"].shape[1]
        if shots > stored:
            raise InputError(f"shots is {shots}; expected at most {stored}, which the tasks were stored with")
        low, high = self.settings.interval
        curves = fixed["curves"]
        grid = torch.linspace(low, high, queries).expand(len(curves), -1)
        return self._batch(curves, fixed["support_x"][:, :shots], grid)

    def _curves(self, count: int, generator: torch.Generator) -> Tensor:
        """[count, 3]: amplitude, frequency and phase of each curve."""
        ranges = (self.settings.amplitude, self.settings.frequency, self.settings.phase)
        return torch.cat([self._uniform(bounds, (count, 1), generator) for bounds in ranges], dim=1)

    @staticmethod
    def _uniform(bounds: tuple[float, float], shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        low, high = bounds
        return torch.rand(shape, generator=generator) * (high - low) + low

    @staticmethod
    def _batch(curves: Tensor, support_x: Tensor, query_x: Tensor) -> Batch:
        amplitude, frequency, phase = curves.T.unsqueeze(-1)

        def examples(x: Tensor) -> tuple[Tensor, Tensor]:
            y = amplitude * torch.sin(frequency * x + phase)
            return x.unsqueeze(-1), y.unsqueeze(-1)

        return Batch(*examples(support_x), *examples(query_x))
