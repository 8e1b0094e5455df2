"""The meta-iteration in JAX, as its users write it: channels last, `vmap` over tasks, one `jit`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.engine.workloads import MULTIPLE, Arrays, Workload


def forward(workload: Workload, theta: Any, x: Any) -> Any:
    if workload.regression:
        for layer in range(2):
            x = jax.nn.relu(x @ theta[f"linear{layer}.weight"] + theta[f"linear{layer}.bias"])
        return x @ theta["linear2.weight"] + theta["linear2.bias"]
    strides = workload.halving == "strides"
    x = x.transpose(0, 2, 3, 1)
    for block in range(4):
        kernel = theta[f"conv{block}.weight"].reshape(3, 3, x.shape[-1], -1)
        x = lax.conv_general_dilated(
            x, kernel, (2, 2) if strides else (1, 1), [(1, 1), (1, 1)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        normal = (x - mean) * lax.rsqrt(variance + 1e-5)
        x = jax.nn.relu(normal * theta[f"norm{block}.scale"] + theta[f"norm{block}.shift"])
        if not strides:
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.reshape(len(x), -1) @ theta["classifier.weight"] + theta["classifier.bias"]


def loss(workload: Workload, theta: Any, x: Any, y: Any) -> Any:
    outputs = forward(workload, theta, x)
    if workload.regression:
        return jnp.square(outputs - y).mean()
    return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()


class JaxTrainer:
    """See `benchmarks.engine.peers.Trainer`."""

    def __init__(self, workload: Workload) -> None:
        jax.config.update("jax_enable_x64", workload.precision == "float64")
        batch = {name: jnp.asarray(array) for name, array in workload.batch().items()}
        self.meta = {
            "theta": jax.tree.map(jnp.asarray, workload.theta()),
            "alpha": jax.tree.map(jnp.asarray, workload.alpha()),
        }

        def task_loss(meta: Any, task: Any) -> Any:
            slopes = jax.grad(lambda theta: loss(workload, theta, task["support_x"], task["support_y"]))(
                meta["theta"]
            )
            adapted = jax.tree.map(lambda t, a, g: t - a * g, meta["theta"], meta["alpha"], slopes)
            return loss(workload, adapted, task["query_x"], task["query_y"])

        def meta_loss(meta: Any, batch: Any) -> Any:
            return jax.vmap(task_loss, in_axes=(None, 0))(meta, batch).mean()

        adam = optax.adam(1e-3)
        self.state = adam.init(self.meta)
        self.batch = batch
        self.gradient = jax.jit(jax.grad(meta_loss))

        def iterate(carry: Any, _: Any) -> Any:
            meta, state = carry
            updates, state = adam.update(jax.grad(meta_loss)(meta, batch), state)
            return (optax.apply_updates(meta, updates), state), None

        def iterations(meta: Any, state: Any, count: int) -> Any:
            return lax.scan(iterate, (meta, state), None, length=count)[0]

        self.several = jax.jit(iterations, static_argnums=2)
        self.scanned = MULTIPLE if workload.regression else 1

    def gradients(self) -> dict[str, Arrays]:
        found = self.gradient(self.meta, self.batch)
        return {part: {name: np.asarray(value) for name, value in found[part].items()} for part in found}

    def run(self, iterations: int) -> None:
        for _ in range(-(-iterations // self.scanned)):
            self.meta, self.state = self.several(self.meta, self.state, self.scanned)
        jax.block_until_ready(self.meta)
