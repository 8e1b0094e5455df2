"""Sine regression (section 5.1): y = A sin(w x + b), every task its own amplitude, frequency and phase."""

from dataclasses import dataclass
from functools import cached_property

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
        shots, points = self.settings.shots, self.settings.shots + self.settings.queries
        # One draw and few operations, as meta-training of so small a network waits for them.
        drawn = torch.rand(count * (len(self._lows) + points), generator=generator)
        curves, x = torch.split(drawn, [count * len(self._lows), count * points])
        x = self._placed(x.view(count, points))
        y = _sine(curves.view(-1, count, 1) * self._spans + self._lows, x)
        x, y = x.unsqueeze(-1), y.unsqueeze(-1)
        return Batch(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:])

    def draw_stored(
        self, count: int, shots: int, queries: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Curves [tasks, 3] and support points [tasks, shots]; query points are evenly spaced."""
        curves = torch.rand((len(self._lows), count, 1), generator=generator) * self._spans + self._lows
        support_x = self._placed(torch.rand((count, shots), generator=generator))
        return {"curves": curves.squeeze(-1).T.contiguous(), "support_x": support_x}

    def stored_batch(self, stored: dict[str, Tensor], shots: int, queries: int) -> Batch:
        most = stored["support_x"].shape[1]
        if shots > most:
            raise InputError(f"shots is {shots}; expected at most {most}, which the tasks were stored with")
        low, high = self.settings.interval
        curves = stored["curves"].T.unsqueeze(-1)
        grid = torch.linspace(low, high, queries).expand(curves.shape[1], -1)
        support_x = stored["support_x"][:, :shots]
        examples = ((x.unsqueeze(-1), _sine(curves, x).unsqueeze(-1)) for x in (support_x, grid))
        return Batch(*(tensor for pair in examples for tensor in pair))

    def _placed(self, drawn: Tensor) -> Tensor:
        """Points of the interval, from numbers between 0 and 1."""
        low, high = self.settings.interval
        return drawn * (high - low) + low

    @cached_property
    def _lows(self) -> Tensor:
        """The least amplitude, frequency and phase [3, 1, 1]."""
        return torch.tensor([low for low, _ in self._ranges]).view(-1, 1, 1)

    @cached_property
    def _spans(self) -> Tensor:
        return torch.tensor([high - low for low, high in self._ranges]).view(-1, 1, 1)

    @property
    def _ranges(self) -> tuple[tuple[float, float], ...]:
        return self.settings.amplitude, self.settings.frequency, self.settings.phase


def _sine(curves: Tensor, x: Tensor) -> Tensor:
    """Every curve at its points. curves: [3, count, 1]; x: [count, points]."""
    amplitude, frequency, phase = curves.unbind()
    return amplitude * torch.sin(frequency * x + phase)
