"""The networks as anyone would write them for PyTorch: channels first, its own convolution and batch norm."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.engine.workloads import Arrays, Workload

Parameters = dict[str, Tensor]
MOMENTUM = 0.1  # of running statistics, which nothing here uses


def from_arrays(workload: Workload, arrays: Arrays) -> Parameters:
    """In PyTorch's layout: convolutions [out, in, 3, 3], linear layers [out, in], channels first."""
    tensors = {name: _theirs(workload, name, torch.from_numpy(array)) for name, array in arrays.items()}
    return {name: tensor.to(workload.device) for name, tensor in tensors.items()}


def to_arrays(workload: Workload, parameters: Parameters) -> Arrays:
    """Back, for comparison."""
    return {name: _ours(workload, name, value.detach().cpu()).numpy() for name, value in parameters.items()}


def _theirs(workload: Workload, name: str, value: Tensor) -> Tensor:
    if name.startswith("conv"):
        return value.view(3, 3, -1, value.shape[1]).permute(3, 2, 0, 1).contiguous()
    if name == "classifier.weight":
        side = round((len(value) // workload.filters) ** 0.5)
        return value.view(side, side, workload.filters, -1).permute(3, 2, 0, 1).flatten(1).contiguous()
    return value.t().contiguous() if name.endswith("weight") else value.clone()


def _ours(workload: Workload, name: str, value: Tensor) -> Tensor:
    if name.startswith("conv"):
        return value.permute(2, 3, 1, 0).reshape(-1, value.shape[0])
    if name == "classifier.weight":
        side = round((value.shape[1] // workload.filters) ** 0.5)
        return (
            value.view(len(value), workload.filters, side, side).permute(2, 3, 1, 0).reshape(-1, len(value))
        )
    return value.t() if name.endswith("weight") else value


def forward(workload: Workload, theta: Parameters, x: Tensor) -> Tensor:
    """Outputs [examples, outputs]."""
    if workload.regression:
        for layer in range(2):
            x = F.linear(x, theta[f"linear{layer}.weight"], theta[f"linear{layer}.bias"]).relu()
        return F.linear(x, theta["linear2.weight"], theta["linear2.bias"])
    strides = workload.halving == "strides"
    for block in range(4):
        x = F.conv2d(x, theta[f"conv{block}.weight"], stride=2 if strides else 1, padding=1)
        scale, shift = theta[f"norm{block}.scale"], theta[f"norm{block}.shift"]
        x = F.batch_norm(x, None, None, scale, shift, training=True, momentum=MOMENTUM).relu()
        x = x if strides else F.max_pool2d(x, 2)
    return F.linear(x.flatten(1), theta["classifier.weight"], theta["classifier.bias"])


def loss(workload: Workload, outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, targets) if workload.regression else F.cross_entropy(outputs, targets)


class Module(nn.Module):
    """The same with parameters of its own, for libraries that want a module."""

    def __init__(self, workload: Workload, theta: Parameters) -> None:
        super().__init__()
        self.workload = workload
        self.names = list(theta)
        self.values = nn.ParameterList([nn.Parameter(value.clone()) for value in theta.values()])

    def forward(self, x: Tensor) -> Tensor:
        return forward(self.workload, dict(zip(self.names, self.values, strict=True)), x)


class TorchTrainer:
    """theta and alpha as leaves, Adam over both, and one meta-iteration; `backward` is the library's part.

    backward(): leaves the gradient of the mean query loss over tasks in `.grad`.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.theta = from_arrays(workload, workload.theta())
        self.alpha = from_arrays(workload, workload.alpha())
        arrays = workload.batch().items()
        self.batch = {name: torch.from_numpy(array).to(workload.device) for name, array in arrays}
        self.learned = self.leaves()
        self.adam = torch.optim.Adam(self.learned, lr=1e-3, fused=True)

    def leaves(self) -> list[Tensor]:
        return [tensor.requires_grad_() for tensor in (*self.theta.values(), *self.alpha.values())]

    def task(self, number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        part = self.batch
        names = ("support_x", "support_y", "query_x", "query_y")
        support_x, support_y, query_x, query_y = (part[name][number] for name in names)
        return support_x, support_y, query_x, query_y

    def backward(self) -> None:
        raise NotImplementedError

    def gradients(self) -> dict[str, Arrays]:
        self.adam.zero_grad()
        self.backward()
        grads = [leaf.grad for leaf in self.learned]
        half = len(grads) // 2
        parts = {"theta": grads[:half], "alpha": grads[half:]}
        return {
            part: to_arrays(self.workload, dict(zip(self.theta, values, strict=True)))
            for part, values in parts.items()
        }

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.adam.zero_grad()
            self.backward()
            self.adam.step()
