"""Outer steps as replays of one CUDA graph: the host starts a whole iteration at once, and waits for none.

    losses = Captured(OneByOne(learner, gradient, settings, adam))(meta, batches, rates)

A small meta-gradient is hundreds of kernels, each of which may take the host longer to start than the GPU to
run.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from metasgd.configuration import TrainingSettings
from metasgd.learner import Meta
from metasgd.outer_step import OneByOne
from metasgd.tasks import Batch, to_device

REHEARSALS = 3  # before the recording: what compiles, loads or takes memory at its first calls does it there
# What an iteration does -> what does it again. It reads and writes the same memory every time.
Record = Callable[[Callable[[], None]], Callable[[], None]]


def captures(settings: TrainingSettings, meta: Meta) -> bool:
    """Whether iterations are replayed: on a GPU, in a run that is long by its declared iterations."""
    return _device(meta).type == "cuda" and settings.iterations >= settings.compile_from


def cuda_graph(iteration: Callable[[], None]) -> Callable[[], None]:
    """Implements `Record`."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        iteration()
    return graph.replay


class Captured:
    """`OneByOne`, recorded at the first call. Implements `metasgd.outer_step.OuterSteps`.

    It stays with the (theta, alpha), the state of Adam and the shape of a meta-batch of that call, so a state
    has to be restored before it.
    """

    def __init__(self, steps: OneByOne, record: Record = cuda_graph) -> None:
        self.steps, self.record = steps, record
        self.replay: Callable[[], None] | None = None
        self.batch: Batch
        self.rates: Tensor
        self.loss: Tensor

    def __call__(self, meta: Meta, batches: Iterable[Batch], rates: Tensor) -> Tensor:
        device = _device(meta)
        losses, rates = torch.empty(len(rates), device=device), to_device(rates.float(), device)
        for loss, batch, chosen in zip(losses, batches, rates, strict=True):
            loss.copy_(self._iteration(meta, batch.to(device), chosen))
        return losses.cpu()  # the only wait for the device

    def _iteration(self, meta: Meta, batch: Batch, rates: Tensor) -> Tensor:
        if self.replay is None:
            self.batch, self.rates = Batch(*(tensor.clone() for tensor in batch)), rates.clone()
            self.loss = torch.empty((), device=rates.device)
            self.replay = self._recorded(meta)
        for place, tensor in zip((*self.batch, self.rates), (*batch, rates), strict=True):
            place.copy_(tensor)
        self.replay()
        return self.loss

    def _recorded(self, meta: Meta) -> Callable[[], None]:
        chosen = list(self.rates.unbind())

        def iteration() -> None:
            self.loss.copy_(self.steps.iteration(meta, self.batch, chosen))

        with _unmoved(self.steps, meta), _beside(self.rates.device):
            for _ in range(REHEARSALS):
                iteration()
        for group in self.steps.adam.param_groups:
            group["capturable"] = self.rates.is_cuda
        return self.record(iteration)


@contextmanager
def _unmoved(steps: OneByOne, meta: Meta) -> Iterator[None]:
    """Afterwards theta, alpha and Adam's state are as before; a state that Adam did not have yet is zero."""

    def moved() -> list[Tensor]:
        learned = steps.learner.learned(meta)
        states = [steps.adam.state[tensor] for tensor in learned if tensor in steps.adam.state]
        return [*learned, *(value for state in states for value in state.values())]

    before = [tensor.clone() for tensor in moved()]
    yield
    for number, tensor in enumerate(moved()):
        if number < len(before):
            tensor.copy_(before[number])
        else:
            tensor.zero_()


@contextmanager
def _beside(device: torch.device) -> Iterator[None]:
    """On another stream of a GPU, as a recording asks of what goes before it."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def _device(meta: Meta) -> torch.device:
    return next(iter(meta.theta.values())).device
