"""What a request asks of a model: tasks to adapt to, and answers to their queries."""

import base64
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from components.serving.models import OpenModel
from components.serving.payloads import (
    ActionsResponse,
    Answer,
    ClassesResponse,
    Drawn,
    Observations,
    Places,
    Points,
    Prediction,
    Queries,
    Query,
    Support,
    ValuesResponse,
    numbers,
    truths,
)
from components.serving.preparation import prepared_picture
from metasgd.errors import InputError
from metasgd.learner import Adapted
from metasgd.policy_adaptation import adapt, unadapted
from metasgd.rollouts import Trajectories
from metasgd.serving import AdaptedTask
from metasgd.tasks import Examples

# By the model's objective, what it is adapted on and asked for.
SUPPORT = {
    "classification": (list, "a list of {class, picture or values}"),
    "regression": (Points, "{x, y}"),
    "control": (Drawn, "{observations, actions, rewards, alive}"),
}
QUERIES = {
    "classification": (list, "a list of {picture or values}"),
    "regression": (Places, "{x}"),
    "control": (Observations, "{observations}"),
}


def adapted(
    model: OpenModel, support: Support, steps: int | None, where: str
) -> tuple[AdaptedTask, tuple[str, ...]]:
    """The task, and the names of its classes. where: the support's place in the request, for messages."""
    _require_taken(model, support, SUPPORT, where)
    problem = model.served.learner.problem
    classes: tuple[str, ...] = ()
    if isinstance(support, Drawn):
        task = _adapted_policy(model, support, steps, where)
    elif isinstance(support, Points):
        x = numbers(support.x, (len(support.x), *problem.input_shape), f"{where}.x")
        y = numbers(support.y, (len(support.x), problem.outputs), f"{where}.y")
        task = model.served.adapt(Examples(x, y), steps)
    else:
        classes = tuple(sorted({example.class_ for example in support}))
        x = _examples(model, support, where)
        y = torch.tensor([classes.index(example.class_) for example in support])
        task = model.served.adapt(Examples(x, y), steps)
    _require_finite(*task.adapted.theta.values(), *task.adapted.context.values())
    return task, classes


@torch.no_grad()
def _adapted_policy(model: OpenModel, support: Drawn, steps: int | None, where: str) -> AdaptedTask:
    learner, meta = model.served.learner.served, model.served.meta
    steps = learner.settings.test_steps if steps is None else steps
    policies, drawn = unadapted(meta, 1), _trajectories(model, support, where)
    if steps and not drawn.alive.any():
        raise InputError(f"{where} holds no time steps; expected trajectories, or steps 0")
    for _ in range(steps):
        policies = adapt(learner, policies, meta.alpha, drawn)
    theta = {name: value[0].clone() for name, value in policies.theta.items()}
    return AdaptedTask(learner, Adapted(theta, {}))


def _trajectories(model: OpenModel, support: Drawn, where: str) -> Trajectories:
    """Those of one task, [1, trajectories, time, ...]."""
    problem = model.served.learner.problem
    first = support.rewards[0] if support.rewards else []
    size = (len(support.rewards), len(first) if isinstance(first, list) else 1)
    rewards = numbers(support.rewards, size, f"{where}.rewards")
    seen = numbers(support.observations, (*size, *problem.input_shape), f"{where}.observations")
    actions = numbers(support.actions, (*size, problem.outputs), f"{where}.actions")
    alive = truths(support.alive, size, f"{where}.alive")
    return Trajectories(*(part.unsqueeze(0) for part in (seen, actions, rewards, alive)))


def answer(
    model: OpenModel,
    task: AdaptedTask,
    classes: Sequence[str],
    queries: Queries,
    probabilities: bool,
    where: str,
) -> Answer:
    """where: the queries' place in the request, for messages."""
    _require_taken(model, queries, QUERIES, where)
    shape = model.served.learner.problem.input_shape
    if isinstance(queries, list):
        return _classified(task.predict(_examples(model, queries, where)), classes, probabilities)
    if isinstance(queries, Places):
        values = task.predict(numbers(queries.x, (len(queries.x), *shape), f"{where}.x"))
        _require_finite(values)
        return ValuesResponse(values=values.tolist())
    seen = numbers(queries.observations, (len(queries.observations), *shape), f"{where}.observations")
    actions = _actions(model, task.predict(seen), queries.sampling_seed)
    _require_finite(actions)
    return ActionsResponse(actions=actions.tolist())


def _classified(logits: Tensor, classes: Sequence[str], probabilities: bool) -> ClassesResponse:
    _require_finite(logits)
    found = logits.softmax(dim=-1)
    best = zip(found.argmax(dim=-1).tolist(), found.amax(dim=-1).tolist(), found.tolist(), strict=True)
    predictions = [
        Prediction(
            class_=classes[number], probability=probability, probabilities=every if probabilities else None
        )
        for number, probability, every in best
    ]
    return ClassesResponse(classes=list(classes), predictions=predictions)


def _actions(model: OpenModel, outputs: Tensor, seed: int | None) -> Tensor:
    """[queries, actions]: means, clipped as the environment clips them, or draws, which it clips itself."""
    mean, log_std = outputs.chunk(2, dim=-1)
    if seed is not None:
        return mean + log_std.exp() * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    clip = getattr(model.tasks.distribution, "clip", None)
    return mean if clip is None else mean.clamp(-clip, clip)


def _examples(model: OpenModel, given: Sequence[Query], where: str) -> Tensor:
    """[examples, *input_shape]"""
    if not given:
        raise InputError(f"{where} holds no examples; expected 1 or more")
    return torch.stack([_example(model, one, f"{where}.{number}") for number, one in enumerate(given)])


def _example(model: OpenModel, given: Query, where: str) -> Tensor:
    if given.values is not None:
        return numbers(given.values, model.served.learner.problem.input_shape, f"{where}.values")
    try:
        contents = base64.b64decode(given.picture or "", validate=True)
    except ValueError:
        raise InputError(
            f"{where}.picture is no base64; expected that of a PNG or JPEG file, in one line"
        ) from None
    return prepared_picture(contents, f"{where}.picture", model.preparation)


def _require_taken(
    model: OpenModel, given: object, taken: Mapping[str, tuple[type, str]], where: str
) -> None:
    expected, shown = taken[model.served.learner.problem.objective]
    if not isinstance(given, expected):
        raise InputError(f"{where}: the model's tasks are of kind {model.tasks.kind}; expected {shown}")


def _require_finite(*found: Tensor) -> None:
    if not all(value.isfinite().all() for value in found):
        raise InputError(
            "adaptation diverged on these examples; expected examples more like those of its training"
        )
