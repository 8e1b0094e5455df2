"""How a meta-batch's gradient is computed: compiled or eagerly, in pieces, on several threads.

    gradient = compiled_gradient(learner, chunk=0, threads=2)
    gradients, loss = gradient(meta, batch)

Every choice follows from declared parameters and shapes by a fixed rule, never from timing: the same run
takes the same way everywhere, and so ends with the same bits.
"""

import math
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor

from metasgd.configuration import TrainingSettings
from metasgd.learner import Learner, Meta
from metasgd.meta_gradient import MetaGradient, compilable, mean_over_tasks, meta_gradient
from metasgd.tasks import Batch
from metasgd.trees import add

# Numbers in the examples of the tasks that are worked on at once. A CPU's should stay near its caches:
# inside the network, the patches of a picture are some fifty times its size.
NUMBERS_ON_CPU, NUMBERS_ON_CUDA = 2**16, 2**24

Found = tuple[Meta, Tensor]
# Like the built-in `map` over one iterable.
Map = Callable[[Callable[[Batch], Found], Iterable[Batch]], Iterator[Found]]


def compiles(settings: TrainingSettings) -> bool:
    """Whether this run compiles: it is long enough by its declared iterations, and a compiler is there."""
    return settings.iterations >= settings.compile_from and has_compiler()


def has_compiler() -> bool:
    """torch.compile needs a C++ compiler and Python's headers."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(os.environ.get("CXX", "g++")) is not None and header.exists()


def eager_gradient(learner: Learner, chunk: int) -> MetaGradient:
    """The meta-gradient as the equation reads. chunk: tasks at once, or 0 for what is fastest."""
    whole = meta_gradient(learner)
    at_once = chunk == 0 and learner.vectorises
    return whole if at_once else in_pieces(whole, chunk or 1)


def compiled_gradient(learner: Learner, chunk: int, threads: int) -> MetaGradient:
    """The adjoint as one compiled graph, each piece of a meta-batch on one thread of the CPU.

    Pieces side by side need no sum, no wait and no shared cache within a layer, as threads that share out
    each product do. On CUDA one piece follows the other.

    chunk: tasks at once on each thread, or 0 for what is fastest.
    """
    whole = partial(torch.compile, compilable(learner), fullgraph=True, dynamic=False)
    graphs = {
        "cuda": whole(options=_untimed()),
        # All of the graph is C++, during which Python's other threads run.
        "cpu": _compiled_once(whole(options={"cpp_wrapper": True})),
    }

    def gradient(meta: Meta, batch: Batch) -> Found:
        with torch.no_grad():  # which every thread has to say for itself
            return graphs[batch.query_x.device.type](meta, batch)

    return in_pieces(gradient, chunk or (0 if learner.vectorises else 1), threads)


def _untimed() -> dict[str, bool] | None:
    """So that the compiler chooses no variant of a kernel by timing, where torch can do without."""
    known = import_module("torch._inductor").list_options()
    return {"deterministic": True} if "deterministic" in known else None


def _compiled_once(function: MetaGradient) -> MetaGradient:
    """The first call alone, so that no two threads compile the same."""
    first, lock = True, Lock()

    def call(meta: Meta, batch: Batch) -> Found:
        nonlocal first
        if not first:
            return function(meta, batch)
        with lock:
            found = function(meta, batch)
            first = False
            return found

    return call


def in_pieces(gradient: MetaGradient, chunk: int, threads: int = 1) -> MetaGradient:
    """The gradient of a meta-batch, `chunk` tasks at a time: memory for that many, the same mean to rounding.

    chunk: tasks, or less where they do not divide the meta-batch; 0 for `chunk_size`.
    threads: that work on a CPU's pieces side by side; their sum is taken in the pieces' order.
    """
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def whole(meta: Meta, batch: Batch) -> Found:
        count = len(batch.query_x)
        tasks = math.gcd(chunk, count) if chunk else chunk_size(batch, threads)
        if tasks == count:
            return gradient(meta, batch)
        pieces = [
            Batch(*piece) for piece in zip(*(torch.split(tensor, tasks) for tensor in batch), strict=True)
        ]
        spread: Map = map if threads == 1 or batch.query_x.is_cuda else pool.map
        found = spread(partial(gradient, meta), pieces)
        total, loss = next(found)
        for piece, piece_loss in found:
            total, loss = Meta(*map(add, total, piece)), loss + piece_loss
        return mean_over_tasks(total, len(pieces)), loss / len(pieces)

    return whole


def chunk_size(batch: Batch, threads: int = 1) -> int:
    """The largest number of tasks whose examples are few enough to be worked on in the caches.

    It divides the meta-batch, if possible into as many pieces for every thread.
    """
    count = len(batch.query_x)
    task = (batch.support_x.numel() + batch.query_x.numel()) // count
    most = NUMBERS_ON_CUDA if batch.query_x.is_cuda else NUMBERS_ON_CPU
    fitting = [
        chunk for chunk in range(1, count + 1) if count % chunk == 0 and (chunk == 1 or chunk * task <= most)
    ]
    even = [chunk for chunk in fitting if count // chunk % threads == 0]
    return max(even or fitting)
