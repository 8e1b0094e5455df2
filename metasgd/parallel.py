"""Data parallelism: processes that share the tasks of every meta-batch.

`torchrun` starts the same command several times. All processes hold the same (theta, alpha) and draw the
same meta-batch; each differentiates its share of the tasks, and the mean of their gradients reaches all, so
all take the same step. One of them leads: it alone validates, and keeps what is learned.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from metasgd.learner import Learner, Meta
from metasgd.loop import Resume, TrainingState, pick_device
from metasgd.meta_gradient import MetaGradient
from metasgd.resume import from_bytes, to_bytes
from metasgd.tasks import Batch
from metasgd.trees import flatten, unflatten


@dataclass(frozen=True)
class Workers:
    """The processes of a training: this one's number, and how many there are.

    speak: whether they exchange anything; one that was started by `torchrun` does, if with itself alone.
    """

    rank: int = 0
    count: int = 1
    speak: bool = False

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, learner: Learner, gradient: MetaGradient) -> MetaGradient:
        """The gradient of a whole meta-batch, of which each process computes its part.

        The number of tasks must be a multiple of `count`.
        """
        if not self.speak:
            return gradient

        def whole(meta: Meta, batch: Batch) -> tuple[Meta, Tensor]:
            found, loss = gradient(meta, Batch(*(tensor.chunk(self.count)[self.rank] for tensor in batch)))
            values = [*learner.learned(found), loss]
            sums = flatten(values)  # one message for all of them
            dist.all_reduce(sums)
            means = unflatten(sums / self.count, [value.shape for value in values])
            return learner.with_learned(found, means[:-1]), means[-1]

        return whole

    def follow(self, resume: Resume | None) -> Resume | None:
        """What all continue from: the leader's state, which it alone keeps."""
        return _Followed(self, resume) if self.speak else resume


ALONE = Workers()


@dataclass(frozen=True)
class _Followed:
    """Implements `metasgd.loop.Resume`."""

    workers: Workers
    resume: Resume | None

    def restore(self, state: TrainingState) -> None:
        content = b""
        if self.workers.leads:
            if self.resume is not None:
                self.resume.restore(state)
            content = to_bytes(state, "")
        from_bytes(_broadcast(content, state.best), "", "the leader's state").restore(state)

    def save(self, state: TrainingState) -> None:
        if self.workers.leads and self.resume is not None:
            self.resume.save(state)


def _broadcast(content: bytes, like: Meta) -> bytes:
    """The leader's bytes. like: lies on the device over which processes speak."""
    device = next(iter(like.theta.values())).device
    size = torch.tensor(len(content), device=device)
    dist.broadcast(size, 0)
    buffer = torch.empty(int(size), dtype=torch.uint8, device=device)
    if content:
        buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
    dist.broadcast(buffer, 0)
    return buffer.cpu().numpy().tobytes()


@contextmanager
def joined(device: str) -> Iterator[Workers]:
    """The processes that `torchrun` started with this one, or this one alone.

    device: as in `metasgd.loop.pick_device`.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Workers()
        return
    cuda = pick_device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Workers(dist.get_rank(), dist.get_world_size(), speak=True)
    finally:
        dist.destroy_process_group()
