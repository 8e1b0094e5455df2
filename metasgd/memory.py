"""Memory-augmented network (Santoro et al. 2016): it adapts by reading a task into an external memory.

Pictures come in turn, each with the label of the one before: the network has to keep a picture until its
label comes, and then bind the two. No gradient is taken in a task.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from metasgd.comparison import one_hot
from metasgd.errors import InputError
from metasgd.initialisation import he_normal
from metasgd.learner import Adapted, Learner, Meta
from metasgd.learner_settings import MemorySettings
from metasgd.tasks import Batch, Examples
from metasgd.trees import Parameters

EMPTY = 1e-6  # what memory holds at the start of a task: a direction needs some length


class State(NamedTuple):
    """What is remembered of one task.

    memory: [slots, width]. usage: [slots], how much each was read and written of late.
    weights: [heads, slots], of the last read; read: [heads * width], what it gave.
    hidden, cell: [controller], of the LSTM. label: [ways], of the last picture, one-hot; zeros before any.
    """

    memory: Tensor
    usage: Tensor
    weights: Tensor
    read: Tensor
    hidden: Tensor
    cell: Tensor
    label: Tensor


@dataclass(frozen=True)
class MemoryLearner(Learner):
    """theta: the controller's weights, and those of its heads and outputs. The network is not used.

    Support pictures come in the order of their brightness, which no label decides.
    """

    settings: MemorySettings

    @property
    def any_ways(self) -> bool:
        return False

    @property
    def vectorises(self) -> bool:
        return True

    @property
    def served(self) -> Self:
        return self

    def for_ways(self, meta: Meta, ways: int) -> tuple[Learner, Meta]:
        if ways != self.problem.outputs:
            raise InputError(
                f"{ways} classes; expected {self.problem.outputs}, as its memory was trained on (kind memory)"
            )
        return self, meta

    def initial(self, generator: torch.Generator) -> Meta:
        chosen, ways = self.settings, self.problem.outputs
        read, each = chosen.heads * chosen.width, 2 * chosen.width + 1  # two keys and a gate for each head
        inputs = self.problem.input_shape[0] * chosen.side**2 + ways + read
        gates = 4 * chosen.controller
        theta = {
            "controller.input": he_normal(inputs, gates, generator, gain=1.0),
            "controller.hidden": he_normal(chosen.controller, gates, generator, gain=1.0),
            "controller.bias": torch.zeros(gates),
            "heads.weight": he_normal(chosen.controller, chosen.heads * each, generator, gain=1.0),
            "heads.bias": torch.zeros(chosen.heads * each),
            "output.weight": he_normal(chosen.controller + read, ways, generator, gain=1.0),
            "output.bias": torch.zeros(ways),
        }
        return Meta(theta, {})

    def adaptations(self, meta: Meta, support: Examples, steps: int) -> Iterator[Adapted]:
        pictures = self.pixels(support.x)
        order = pictures.mean(dim=-1).argsort(stable=True)
        labels = one_hot(support.y, self.problem.outputs).to(pictures.dtype)
        state = self.empty(pictures)
        yield Adapted(meta.theta, state._asdict())
        outputs, state = self.sequence(meta.theta, state, pictures[order], labels[order])
        adapted = Adapted(meta.theta, {**state._asdict(), "outputs": outputs, "labels": labels[order]})
        yield from repeat(adapted, steps)

    def predict(self, adapted: Adapted, x: Tensor) -> Tensor:
        """Every query picture follows the support pictures as if it were the only one."""
        state = State(*(adapted.context[name] for name in State._fields))
        outputs: Tensor = vmap(lambda picture: self.see(adapted.theta, state, picture)[0])(self.pixels(x))
        return outputs

    def query_loss(self, adapted: Adapted, task: Batch) -> Tensor:
        """That of the query pictures, and of the support pictures before their labels came."""
        outputs, labels = adapted.context["outputs"], adapted.context["labels"]
        of_sequence = -(labels * outputs.log_softmax(dim=-1)).sum(dim=-1).mean()
        return super().query_loss(adapted, task) + of_sequence

    def empty(self, like: Tensor) -> State:
        """Before any picture. like: a tensor of the kind that it should hold."""
        chosen = self.settings
        return State(
            memory=like.new_full((chosen.slots, chosen.width), EMPTY),
            usage=like.new_zeros(chosen.slots),
            weights=like.new_zeros(chosen.heads, chosen.slots),
            read=like.new_zeros(chosen.heads * chosen.width),
            hidden=like.new_zeros(chosen.controller),
            cell=like.new_zeros(chosen.controller),
            label=like.new_zeros(self.problem.outputs),
        )

    def sequence(
        self, theta: Parameters, state: State, pictures: Tensor, labels: Tensor
    ) -> tuple[Tensor, State]:
        """Logits [time, ways] of each picture, before its label is seen, and what is remembered in the end.

        pictures: [time, pixels]; labels: one-hot [time, ways].
        """
        outputs = []
        for picture, label in zip(pictures.unbind(), labels.unbind(), strict=True):
            output, state = self.see(theta, state, picture)
            outputs.append(output)
            state = state._replace(label=label)
        return torch.stack(outputs), state

    def see(self, theta: Parameters, state: State, picture: Tensor) -> tuple[Tensor, State]:
        """One step: logits [ways] of a picture [pixels], and what is remembered after it."""
        hidden, cell = self._controller(theta, state, picture)
        read_keys, write_keys, gates = self._heads(theta, hidden)
        least = least_used(state.usage, self.settings.heads)
        writes = gates * state.weights + (1 - gates) * least
        memory = state.memory * (1 - least).unsqueeze(-1) + writes.mT @ write_keys
        weights = (F.normalize(read_keys, dim=-1) @ F.normalize(memory, dim=-1).mT).softmax(dim=-1)
        usage = self.settings.decay * state.usage + weights.sum(0) + writes.sum(0)
        read = (weights @ memory).flatten()
        output = torch.cat([hidden, read]) @ theta["output.weight"] + theta["output.bias"]
        return output, State(memory, usage, weights, read, hidden, cell, state.label)

    def _controller(self, theta: Parameters, state: State, picture: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([picture, state.label, state.read])
        gates = seen @ theta["controller.input"] + state.hidden @ theta["controller.hidden"]
        enter, keep, leave, new = (gates + theta["controller.bias"]).chunk(4)
        cell = keep.sigmoid() * state.cell + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * cell.tanh(), cell

    def _heads(self, theta: Parameters, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys to read by and to write, [heads, width], and gates between 0 and 1, [heads, 1]."""
        width = self.settings.width
        each = (hidden @ theta["heads.weight"] + theta["heads.bias"]).view(self.settings.heads, -1)
        read_keys, write_keys, gates = each[:, :width], each[:, width:-1], each[:, -1:]
        return read_keys.tanh(), write_keys.tanh(), gates.sigmoid()

    def pixels(self, x: Tensor) -> Tensor:
        """[examples, pixels], of pictures as small as the controller takes them."""
        return F.adaptive_avg_pool2d(x, self.settings.side).flatten(1)


def least_used(usage: Tensor, count: int) -> Tensor:
    """1 for the `count` slots [slots] that were used least, else 0; of equal ones, the first."""
    order = usage.detach().argsort(stable=True)
    return torch.zeros_like(usage).index_fill(0, order[:count], 1.0)
