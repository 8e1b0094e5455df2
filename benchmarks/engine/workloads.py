"""What is measured: a network, a meta-batch of tasks, and how many floating-point operations they need.

Everything here is numbers and NumPy arrays, so that every library can take them in its own way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MULTIPLE = 200  # sine's iterations come in such numbers, which JAX and this project take in one call
Array = NDArray[np.floating]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class Workload:
    """One meta-batch. halving: "strides", "pooling", or "" for a fully connected network on one number.

    shots, queries: examples per class, or of the whole task in regression.
    precision: NumPy's name of the type of all arrays; their values are those in single precision.
    device: torch's name of where it is worked on.
    """

    name: str
    title: str
    tasks: int
    shots: int
    queries: int
    ways: int = 1
    size: int = 1
    channels: int = 1
    filters: int = 40
    halving: str = ""
    precision: str = "float32"
    device: str = "cpu"

    @property
    def regression(self) -> bool:
        return not self.halving

    @property
    def threads(self) -> int:
        """A fully connected network of 40 is too small to be shared out among cores."""
        return 1 if self.regression else 2

    @property
    def support(self) -> int:
        return self.ways * self.shots

    @property
    def query(self) -> int:
        return self.ways * self.queries

    def layers(self) -> list[tuple[int, int, int]]:
        """(positions, inputs, outputs) of every matrix product of one example's forward pass."""
        if self.regression:
            return [(1, 1, self.filters), (1, self.filters, self.filters), (1, self.filters, 1)]
        side, channels, layers = self.size, self.channels, []
        for _ in range(4):
            convolved = -(-side // 2) if self.halving == "strides" else side
            layers.append((convolved**2, 9 * channels, self.filters))
            side = convolved if self.halving == "strides" else side // 2
            channels = self.filters
        return [*layers, (1, side**2 * channels, self.ways)]

    def operations(self) -> int:
        """Floating-point operations in the matrix products of one meta-gradient.

        A query example takes three products per layer (forward, and one backward for either factor), a
        support example three for the gradient and six for its derivative in one direction. The first
        layer needs no gradient of its inputs.
        """
        sizes = [2 * positions * inputs * outputs for positions, inputs, outputs in self.layers()]
        first, others = sizes[0], sum(sizes[1:])
        query = 2 * first + 3 * others
        support = 2 * first + 3 * others + 3 * first + 6 * others
        return self.tasks * (self.query * query + self.support * support)

    def theta(self, seed: int = 1) -> Arrays:
        """A start for this network, in the layout of `metasgd.networks`."""
        random, theta = np.random.default_rng(seed), Arrays()
        last = len(self.layers()) - 1
        for number, (_, inputs, outputs) in enumerate(self.layers()):
            weight = random.normal(0, (2 / inputs) ** 0.5, (inputs, outputs))
            if self.regression:
                theta[f"linear{number}.weight"], theta[f"linear{number}.bias"] = weight, np.zeros(outputs)
            elif number < last:
                theta[f"conv{number}.weight"] = weight
                theta[f"norm{number}.scale"], theta[f"norm{number}.shift"] = (
                    np.ones(outputs),
                    np.zeros(outputs),
                )
            else:
                theta["classifier.weight"], theta["classifier.bias"] = weight, np.zeros(outputs)
        return {name: self._array(value) for name, value in theta.items()}

    def alpha(self, seed: int = 2) -> Arrays:
        """A step size for every parameter."""
        random = np.random.default_rng(seed)
        return {
            name: self._array(random.uniform(0.005, 0.05, value.shape))
            for name, value in self.theta().items()
        }

    def batch(self, seed: int = 3) -> dict[str, NDArray[np.generic]]:
        """support_x, support_y, query_x, query_y, each [tasks, examples, ...]."""
        random = np.random.default_rng(seed)
        batch: dict[str, NDArray[np.generic]] = {}
        for part, count in (("support", self.shots), ("query", self.queries)):
            if self.regression:
                x = self._array(random.uniform(-5, 5, (self.tasks, count, 1)))
                shift = self._array(random.uniform(0, np.pi, (self.tasks, 1, 1)))
                batch[f"{part}_x"], batch[f"{part}_y"] = x, np.sin(x - shift)
            else:
                shape = (self.tasks, self.ways * count, self.channels, self.size, self.size)
                batch[f"{part}_x"] = self._array(random.random(shape, dtype=np.float32))
                labels = np.repeat(np.arange(self.ways), count)
                batch[f"{part}_y"] = np.tile(labels, (self.tasks, 1))
        return batch

    def _array(self, value: Array) -> Array:
        return value.astype(np.float32).astype(self.precision)


_OMNIGLOT = {"size": 28, "filters": 64, "halving": "strides"}
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sine-4", "sine, 4 tasks", tasks=4, shots=5, queries=5),
        Workload("sine-100", "sine, 100 tasks", tasks=100, shots=5, queries=5),
        Workload("omniglot-1", "Omniglot 5-way 1-shot, 1 query", 32, 1, 1, ways=5, **_OMNIGLOT),
        Workload("omniglot-15", "Omniglot 5-way 1-shot, 15 queries", 32, 1, 15, ways=5, **_OMNIGLOT),
        Workload("omniglot-20way", "Omniglot 20-way 1-shot, 1 query", 16, 1, 1, ways=20, **_OMNIGLOT),
        Workload("miniimagenet", "MiniImagenet 5-way 1-shot, 15 queries", 4, 1, 15, ways=5,
                 size=84, channels=3, filters=32, halving="pooling"),
    )
}  # fmt: skip
