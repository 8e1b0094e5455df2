"""The same meta-iteration by others' means. Each class is imported and built in a process of its own."""

from collections.abc import Callable
from typing import Any, Protocol

from benchmarks.engine.workloads import Arrays, Workload


class Trainer(Protocol):
    """One peer on one workload. Iterations are on one and the same meta-batch: gradient and Adam."""

    def gradients(self) -> dict[str, Arrays]:
        """The meta-gradient at the start: theta's and alpha's, in the layout of `metasgd.networks`."""
        ...

    def run(self, iterations: int) -> None: ...


def textbook(workload: Workload) -> Trainer:
    """Task by task: a gradient with create_graph, a step, and a second backward pass."""
    import torch

    from benchmarks.engine.torch_network import TorchTrainer, forward, loss

    class Textbook(TorchTrainer):
        def backward(self) -> None:
            for number in range(workload.tasks):
                support_x, support_y, query_x, query_y = self.task(number)
                inner = loss(workload, forward(workload, self.theta, support_x), support_y)
                slopes = torch.autograd.grad(inner, list(self.theta.values()), create_graph=True)
                adapted = {
                    name: value - self.alpha[name] * slope
                    for (name, value), slope in zip(self.theta.items(), slopes, strict=True)
                }
                outer = loss(workload, forward(workload, adapted, query_x), query_y)
                (outer / workload.tasks).backward()

    return Textbook(workload)


def higher(workload: Workload) -> Trainer:
    """`higher`: a differentiable SGD whose rates are alpha, one group per tensor."""
    import higher as library
    import torch
    from torch import Tensor

    from benchmarks.engine.torch_network import Module, TorchTrainer, loss

    class Higher(TorchTrainer):
        def leaves(self) -> list[Tensor]:
            self.module = Module(workload, self.theta)
            self.sgd = torch.optim.SGD([{"params": [value]} for value in self.module.values], lr=0.1)
            return [*self.module.values, *(tensor.requires_grad_() for tensor in self.alpha.values())]

        def backward(self) -> None:
            rates = {"lr": list(self.alpha.values())}
            for number in range(workload.tasks):
                support_x, support_y, query_x, query_y = self.task(number)
                with library.innerloop_ctx(
                    self.module, self.sgd, copy_initial_weights=False, override=rates
                ) as (functional, optimiser):
                    optimiser.step(loss(workload, functional(support_x), support_y))
                    outer = loss(workload, functional(query_x), query_y)
                    (outer / workload.tasks).backward()

    return Higher(workload)


def torchopt(workload: Workload) -> Trainer:
    """TorchOpt: a differentiable functional optimiser whose updates are -alpha times the gradient."""
    import torchopt as library
    from torchopt.base import GradientTransformation

    from benchmarks.engine.torch_network import TorchTrainer, forward, loss

    class TorchOpt(TorchTrainer):
        def backward(self) -> None:
            def update(updates: Any, state: Any, *, params: Any = None, inplace: bool = True) -> Any:
                return {name: -self.alpha[name] * slope for name, slope in updates.items()}, state

            by_alpha = GradientTransformation(lambda params: (), update)
            for number in range(workload.tasks):
                support_x, support_y, query_x, query_y = self.task(number)
                optimiser = library.FuncOptimizer(by_alpha)
                inner = loss(workload, forward(workload, self.theta, support_x), support_y)
                adapted = optimiser.step(inner, self.theta)
                outer = loss(workload, forward(workload, adapted, query_x), query_y)
                (outer / workload.tasks).backward()

    return TorchOpt(workload)


def jax(workload: Workload) -> Trainer:
    """JAX: jit and vmap over tasks; sine's iterations are one compiled scan."""
    from benchmarks.engine.jax_trainer import JaxTrainer

    return JaxTrainer(workload)


def metasgd(workload: Workload) -> Trainer:
    """This project: what meta-training runs."""
    from benchmarks.engine.ours import MetaSgdTrainer

    return MetaSgdTrainer(workload)


PEERS: dict[str, Callable[[Workload], Trainer]] = {
    "metasgd": metasgd,
    "textbook": textbook,
    "higher": higher,
    "TorchOpt": torchopt,
    "JAX": jax,
}
