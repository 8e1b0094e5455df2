"""Published numbers as the tables of README.md and docs/, which `make docs` writes from results/."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from components.artifacts.checkpoint import CURVE
from components.artifacts.intervals import half_width
from components.console.messages import duration
from components.report.estimates import Estimate
from components.report.published import published
from components.report.wording import (
    METRICS,
    difference,
    estimated_difference,
    listed,
    number,
    score,
)
from components.report.worth import WORDS
from pipelines.publishing.record import Number, Record, model_folder, records

ORDER = ("meta-sgd", "maml")  # of algorithms; others follow by name
# The rows of README's table: what it is, in words; experiment; shots.
README = (
    ("sine, trained and tested on 5 points", "sinusoid-5shot-paper", 5),
    ("10 points", "sinusoid-10shot-paper", 10),
    ("20 points", "sinusoid-20shot-paper", 20),
    ("2-D navigation, fixed start", "navigation", 20),
    ("varying starts", "navigation-varying", 20),
    ("Omniglot, 5-way 1-shot", "omniglot-5way-1shot", 1),
    ("5-way 5-shot, the same model", "omniglot-5way-1shot", 5),
    ("20-way 1-shot", "omniglot-20way-1shot", 1),
    ("20-way 5-shot, the same model", "omniglot-20way-1shot", 5),
    ("MiniImagenet, 5-way 1-shot", "miniimagenet-5way-1shot", 1),
)


def scores(*experiments: str, first: int | None = None) -> str:
    """A row for every experiment, number of shots and algorithm: before, after, as served, and the paper's.

    first: a column for the first so many tasks.
    """
    chosen = _chosen(experiments)
    served = any(one.protocol == "served" for record in chosen for one in record.numbers)
    titles = ["experiment", "shots at test", "algorithm", "before", "after one step", "over seeds"]
    titles += [f"first {first} tasks"] * bool(first) + ["as served"] * served + ["the paper"]
    return _table(titles, (_score_row(record, shots, first, served) for record, shots in _by_shots(chosen)))


def _score_row(record: Record, shots: int, first: int | None, served: bool) -> list[str]:
    after = record.number(shots)
    cells = [record.experiment, str(shots), record.algorithm]
    cells += [
        score(record.number(shots, step=0).mean, None, record.metric),
        f"**{_over_tasks(after, record)}**" + (f" ({record.adapted} steps)" if record.adapted > 1 else ""),
    ]
    cells.append(_over_seeds(after, record))
    if first:
        cells.append(_over_tasks(record.find(shots, tasks=first), record))
    if served:
        cells.append(_over_tasks(record.find(shots, protocol="served"), record))
    paper = published(record.experiment, record.algorithm, shots)
    return [*cells, paper.text(record.metric) if paper else ""]


def curve(experiment: str, algorithm: str = "meta-sgd", points: int = 8) -> str:
    """Validation scores along the first seed's training, about evenly spaced."""
    for record in _chosen([experiment]):
        if record.algorithm == algorithm:
            file = model_folder(experiment, record.models[0]) / CURVE
            found = pd.read_csv(file).dropna(subset="validation")
            chosen = found.iloc[:: -max(1, len(found) // points)].iloc[::-1]
            cells = [score(value, None, record.metric) for value in chosen["validation"]]
            return _table([f"{one:,}" for one in chosen["iteration"]], [cells])
    return _table([], [])


def further_steps(*experiments: str) -> str:
    """A row for every experiment and algorithm: every seed after one step, and all after every step."""
    chosen = _chosen(experiments)
    steps = sorted({one.step for record in chosen for one in record.numbers})
    titles = ["experiment", "algorithm", "seeds, after one step"]
    titles += ["before" if step == 0 else f"{step} step{'s' * (step > 1)}" for step in steps]
    return _table(titles, (_step_row(record, steps) for record in chosen))


def _step_row(record: Record, steps: Sequence[int]) -> list[str]:
    shots = record.numbers[0].shots
    seeds = " / ".join(number(mean, record.metric) for mean in record.number(shots).by_seed)
    return [
        record.experiment,
        record.algorithm,
        seeds,
        *(_over_tasks(record.number(shots, step), record) for step in steps),
    ]


def leads(*experiments: str) -> str:
    """What Meta-SGD is ahead of MAML by, seed by seed: positive is better."""
    chosen = {(record.experiment, record.algorithm): record for record in _chosen(experiments)}
    rows = []
    for (experiment, algorithm), own in chosen.items():
        other = chosen.get((experiment, "maml"))
        if algorithm == "meta-sgd" and other and comparable(own, other):
            rows += [[experiment, str(shots), _lead(own, other, shots)] for shots in sorted(own.task_sets)]
    return _table(["experiment", "shots at test", "Meta-SGD ahead of MAML by [over seeds]"], rows)


def _lead(own: Record, other: Record, shots: int) -> str:
    sign = 1 if own.higher_is_better else -1
    means = [dict(zip(one.seeds, one.number(shots).by_seed, strict=True)) for one in (own, other)]
    ahead = [sign * (means[0][seed] - means[1][seed]) for seed in _common(own, other)]
    mean, half = sum(ahead) / len(ahead), half_width(ahead)
    return difference(mean, (mean - half, mean + half), own.metric)


def comparable(own: Record, other: Record) -> bool:
    """Whether they met the same tasks, by two common seeds or more."""
    return own.task_sets == other.task_sets and len(_common(own, other)) > 1


def _common(own: Record, other: Record) -> list[int]:
    return sorted(set(own.seeds) & set(other.seeds))


def worth(*experiments: str) -> str:
    """What alpha is worth: a row for everything that is taken away of it, a column for every experiment."""
    chosen = [record for record in _chosen(experiments) if record.worth]
    titles = ["in place of alpha", *(record.experiment for record in chosen)]
    names = dict.fromkeys(one.ablation for record in chosen for one in record.worth)
    rows = ([WORDS.get(name, name), *(_worth(record, name) for record in chosen)] for name in names)
    return _table(titles, rows)


def _worth(record: Record, ablation: str) -> str:
    for one in record.worth:
        if one.ablation == ablation:
            return estimated_difference(Estimate(one.mean, one.over_tasks, one.over_seeds), record.metric)
    return ""


def transfer() -> str:
    """Models on tasks of other experiments, beside those that were trained for them."""
    found = list(records())
    own = {(one.experiment, one.algorithm): one for one in found if one.scored_on is None}
    titles = [
        "trained on",
        "scored on",
        "algorithm",
        "before",
        "after one step",
        "as served",
        "trained there",
    ]
    return _table(
        titles,
        (_transfer_row(one, own.get((one.scored_on, one.algorithm))) for one in found if one.scored_on),
    )


def _transfer_row(record: Record, native: Record | None) -> list[str]:
    shots = record.numbers[0].shots
    return [
        record.experiment,
        record.scored_on or "",
        record.algorithm,
        score(record.number(shots, step=0).mean, None, record.metric),
        _over_tasks(record.number(shots), record),
        _over_tasks(record.find(shots, protocol="served"), record),
        _over_tasks(native.number(shots), native) if native and native.task_sets == record.task_sets else "",
    ]


def origins(*experiments: str) -> str:
    """Where the numbers come from: a list, an entry for every record that was measured by itself."""
    grouped: dict[tuple[object, ...], list[Record]] = {}
    for record in _chosen(experiments):
        key = (record.command, record.commit, record.machine, record.torch, tuple(record.seeds))
        grouped.setdefault(key, []).append(record)
    return "\n".join(_origin(group) for group in grouped.values())


def _origin(group: Sequence[Record]) -> str:
    first = group[0]
    names = _names(group)
    known = [seconds for record in group for seconds in record.seconds if seconds is not None]
    took = f"; a training took {duration(min(known))} to {duration(max(known))}" if known else ""
    seeds = f"seed{'s' * (len(first.seeds) > 1)} {listed([str(seed) for seed in first.seeds])}"
    return (
        f"- {names}: `{first.command}`, commit {first.commit[:7]}, {first.date}, {seeds}, {first.machine}, "
        f"torch {first.torch}{took}"
    )


def protocols(*experiments: str) -> str:
    """What stands beside every number: the network, the training and the notes on the protocol."""
    named: dict[str, list[Record]] = {}
    for record in _chosen(experiments):
        iterations, tasks = record.train["iterations"], record.train["meta_batch"]
        classes = f" of {ways} classes" if (ways := record.learner.get("ways")) else ""
        words = "; ".join([f"{iterations:,} iterations of {tasks} tasks{classes}", *record.notes])
        named.setdefault(words, []).append(record)
    return "\n".join(f"- {_names(group)}: {words}" for words, group in named.items())


def _names(group: Sequence[Record]) -> str:
    """ "a and b (meta-sgd and maml)", where both experiments have both algorithms."""
    algorithms: dict[str, list[str]] = {}
    for record in group:
        algorithms.setdefault(record.experiment, []).append(record.algorithm)
    experiments: dict[tuple[str, ...], list[str]] = {}
    for experiment, own in algorithms.items():
        experiments.setdefault(tuple(own), []).append(experiment)
    return "; ".join(f"{listed(names)} ({listed(own)})" for own, names in experiments.items())


def headline(*rows: tuple[str, str, int]) -> str:
    """README's table, of Meta-SGD after one step. rows: as README's."""
    own = (record for record in records() if record.scored_on is None)
    found = {record.experiment: record for record in own if record.algorithm == "meta-sgd"}
    shown = [
        _headline_row(words, found[experiment], shots)
        for words, experiment, shots in rows
        if experiment in found
    ]
    return _table(["", "metric", "measured here", "as served", "seeds", "the paper", "conditions"], shown)


def _headline_row(words: str, record: Record, shots: int) -> list[str]:
    one = record.number(shots)
    paper = published(record.experiment, record.algorithm, shots)
    over_seeds = (
        f", ± {number(one.over_seeds, record.metric)} over seeds" if one.over_seeds is not None else ""
    )
    measured = f"{_over_tasks(one, record)}{over_seeds}"
    served = _over_tasks(record.find(shots, protocol="served"), record) or _served_otherwise(record)
    printed = paper.text(record.metric) if paper else ""
    direction = f"{METRICS[record.metric].name}, {'higher' if record.higher_is_better else 'lower'} is better"
    return [words, direction, measured, served, str(len(record.seeds)), printed, _conditions(record)]


def _conditions(record: Record) -> str:
    """What decides a score besides the algorithm, and differs between publications."""
    network, queries = record.network, record.tasks["stored"]["test_queries"]
    match network["kind"]:
        case "convnet":
            per_class = f"{queries} quer{'y' if queries == 1 else 'ies'} per class"
            batch_norm, head = f"{network['normalisation']} batch norm", f"{network['head']} classifier"
            trained = f", trained on {ways}-way tasks" if (ways := record.learner.get("ways")) else ""
            return f"{network['filters']} filters, {batch_norm}, {head}, {per_class}{trained}"
        case "policy":
            return (
                f"standard deviation above {network['least_std']}; docs/navigation.md says what else differs"
            )
        case _:
            return f"{record.train['iterations']:,} iterations, {queries} points score a curve"


def _served_otherwise(record: Record) -> str:
    """Where predictions never depend on other queries, the published protocol serves, too."""
    return "" if any(one.protocol == "served" for one in record.numbers) else "the same"


def _over_tasks(one: Number | None, record: Record) -> str:
    return score(one.mean, one.over_tasks, record.metric) if one else ""


def _over_seeds(one: Number, record: Record) -> str:
    if one.over_seeds is None:
        return "one seed"
    unit = METRICS[record.metric].apart
    return f"± {number(one.over_seeds, record.metric)}{unit} ({len(one.by_seed)} seeds)"


def _chosen(experiments: Sequence[str]) -> list[Record]:
    """In the order of `experiments`, and of ORDER within each."""
    places = {name: place for place, name in enumerate(ORDER)}
    found = [one for one in records() if one.experiment in experiments and one.scored_on is None]
    return sorted(
        found,
        key=lambda one: (
            experiments.index(one.experiment),
            places.get(one.algorithm, len(places)),
            one.algorithm,
        ),
    )


def _by_shots(chosen: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """The algorithms of an experiment side by side, for every number of shots in ascending order."""
    for experiment in dict.fromkeys(record.experiment for record in chosen):
        own = [record for record in chosen if record.experiment == experiment]
        for shots in sorted({shots for record in own for shots in record.task_sets}):
            yield from ((record, shots) for record in own if shots in record.task_sets)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    filled = list(rows)
    lines = [titles, ["---"] * len(titles), *filled]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) if filled else "Not published yet."
