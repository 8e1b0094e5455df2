"""A lane in words, tables and figures: what chapter.html.j2 is filled with."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from components.artifacts.decision import Comparison, Decision, Model
from components.artifacts.results import Result
from components.plots.words import after_steps
from components.report.estimates import estimate, served_estimate
from components.report.lanes import Lane
from components.report.origin import Origin
from components.report.published import both_iterations, published, published_protocol
from components.report.summary import lane_rows
from components.report.wording import METRICS, ahead, difference, estimated, listed, score, trials
from components.report.worth import worth_table

NETWORKS = {
    "mlp": "a fully connected network",
    "convnet": "a convolutional network",
    "policy": "a Gaussian policy",
}
MIME = {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif"}


@dataclass(frozen=True)
class ScoreLine:
    """One row of the scores table.

    served: as the served model predicts, where that was scored; more: after further steps, each in words;
    paper: the paper's value.
    """

    shots: int
    before: str
    one_step: str
    served: str
    more: list[str]
    paper: str
    tasks: int


@dataclass(frozen=True)
class Figure:
    """is_plot: whether its colours mean nothing by themselves, so that a dark page may turn them round."""

    uri: str
    alt: str
    caption: str
    is_plot: bool


def chapter(lane: Lane, origin: Origin | None = None) -> dict[str, Any]:
    """Everything the template names. Raises InputError where files of the lane are missing.

    origin: where the page links to MLflow.
    """
    lines = {algorithm: _score_lines(lane, seeds) for algorithm, seeds in lane.results.items()}
    flat = [line for own in lines.values() for line in own]
    rows = lane_rows(lane)
    return {
        "lane": lane,
        "first": lane.first,
        "anchor": anchor(lane.experiment),
        "task": _task(lane.first),
        "network": _network(lane.first),
        "notes": _notes(lane),
        "lines": lines,
        "has_served": lane.first.served is not None,
        "has_more": any(line.more for line in flat),
        "has_paper": any(line.paper for line in flat),
        "recalled": any("†" in line.paper for line in flat),
        "paper_protocol": published_protocol(lane.experiment),
        "paper_iterations": both_iterations(lane.experiment, rows[0].iterations),
        "ahead": [
            ahead(row.algorithm, one, row.metric) for row in rows for one in row.leads if one.seeds > 1
        ],
        "page_of": origin.run if origin else None,
        "worth": worth_table(lane),
        "outcome": outcome(lane.decision),
        "comparisons": [_comparison(one, lane.first.metric) for one in lane.decision.comparisons],
        "examples": _examples(lane),
        "trajectories": _trajectories(lane),
        "animation": _animation(lane),
        "own_figures": [_seed_figures(lane.folder, seeds[0]) for seeds in lane.results.values()],
        "other_seeds": [
            _seed_figures(lane.folder, seed) for seeds in lane.results.values() for seed in seeds[1:]
        ],
        "trainings": [(seed, lane.runs.get(seed.name)) for seeds in lane.results.values() for seed in seeds],
    }


def anchor(experiment: str) -> str:
    """The experiment's name as an id and as a file name, whatever characters it holds."""
    return quote(experiment, safe="")


def outcome(decision: Decision) -> str:
    """What became of the champion, in one sentence."""
    before, after = decision.champion_before, decision.champion_after
    winners = [comparison.challenger for comparison in decision.comparisons if comparison.wins]
    if decision.dry_run:
        would = (
            f"{model_name(winners[-1])} would become the champion" if winners else "no challenger would win"
        )
        return f"Decided and recorded only, nothing was registered: {would}."
    if after is None:
        return "There is no champion: no challenger won."
    if after == before:
        return f"Version {after} stays the champion: no challenger won."
    named = next(
        (model_name(model) for model in decision.versions if model.version == after), f"version {after}"
    )
    earlier = f"before, it was version {before}" if before else "there was none before"
    return f"The new champion is {named}; {earlier}."


def model_name(model: Model) -> str:
    version = f" (version {model.version})" if model.version else ""
    return f"{model.algorithm}, seed {model.seed}{version}"


def _comparison(comparison: Comparison, metric: str) -> dict[str, str]:
    mean = comparison.mean_difference
    return {
        "challenger": model_name(comparison.challenger),
        "champion": model_name(comparison.champion) if comparison.champion else "none",
        "difference": "-" if mean is None else difference(mean, comparison.interval, metric),
        "outcome": "wins" if comparison.wins else "does not win",
        "reason": comparison.reason,
    }


def _score_lines(lane: Lane, seeds: list[Result]) -> list[ScoreLine]:
    return [_score_line(lane, seeds, shots) for shots in seeds[0].scores()]


def _score_line(lane: Lane, seeds: list[Result], shots: int) -> ScoreLine:
    first, scores = seeds[0], seeds[0].scores()[shots]
    steps = {measured.step for measured in scores.steps}

    def text(step: int, interval: bool = True) -> str:
        value = estimate(lane.folder, seeds, shots, step)
        return estimated(value, first.metric) if interval else score(value.mean, None, first.metric)

    # Of a reference that takes a hundred steps, the last one says enough.
    further = [step for step in sorted(steps) if step > 1 and step >= first.adapted]
    paper = published(lane.experiment, first.algorithm, shots)
    return ScoreLine(
        shots=shots,
        before=text(0) if 0 in steps else "-",
        one_step=text(1) if 1 in steps else "-",
        served=_served(lane, seeds) if shots == first.shots else "",
        more=[f"{text(step)} ({step} steps)" for step in further],
        paper=paper.text(first.metric) if paper else "",
        tasks=scores.tasks,
    )


def _served(lane: Lane, seeds: list[Result]) -> str:
    return estimated(served_estimate(lane.folder, seeds), seeds[0].metric)


def _task(result: Result) -> str:
    """What a test task gives, and what is scored on it."""
    if result.metric == "return":
        scored = "average undiscounted return of fresh trajectories"
    else:
        scored = f"{METRICS[result.metric].name} on examples it has not seen"
    better = "higher" if result.higher_is_better else "lower"
    return (
        f"Each of the {result.tasks} test tasks gives the network {trials(result.metric, result.shots)} "
        f"to adapt on. Its score is the {scored}: {better} is better."
    )


def _network(result: Result) -> str:
    kind = str(result.network.get("kind"))
    parameters = result.network.get("parameters")
    counted = f" with {parameters:,} parameters" if isinstance(parameters, int) else ""
    return f"{NETWORKS.get(kind, kind)}{counted}"


def _notes(lane: Lane) -> list[str]:
    """Remarks about the protocol; those that hold for some algorithms only name them."""
    holds_for: dict[str, list[str]] = {}
    for algorithm, seeds in lane.results.items():
        for note in dict.fromkeys(seeds[0].notes):
            holds_for.setdefault(note, []).append(algorithm)
    algorithms = len(lane.results)
    return [
        note if len(names) == algorithms else f"{note} ({listed(names)})" for note, names in holds_for.items()
    ]


def _examples(lane: Lane) -> Figure | None:
    alt = "Test episodes: a row per class, support pictures framed in blue, query pictures in grey."
    caption = "Episodes as the models meet them: what each class shows to adapt on, and what is asked."
    return _figure(lane.folder / "figures" / "contact-sheet.png", alt, caption)


def _trajectories(lane: Lane) -> Figure | None:
    alt = (
        "Trajectories on test tasks, a row per algorithm and a column per task: grey before adaptation, "
        "blue after adaptation, with the start as a dot and the goal as a star."
    )
    caption = (
        "Some trajectories of the first test tasks, before and after adaptation. Above each panel: the mean "
        "return of all trajectories there."
    )
    return _figure(lane.folder / "figures" / "trajectories.svg", alt, caption)


def _animation(lane: Lane) -> Figure | None:
    alt = (
        "Animation of the first of these tasks: points move from the start along their trajectories, before "
        "and after adaptation."
    )
    caption = "The first of these tasks in motion: before adaptation, then after it on fresh trajectories."
    return _figure(lane.folder / "figures" / "adaptation.gif", alt, caption)


def _seed_figures(folder: Path, result: Result) -> dict[str, Any]:
    """The figures of one training; None for those it did not leave."""
    own, name = folder / "figures" / result.name, f"{result.algorithm}, seed {result.seed}"
    after = after_steps(result.adapted)
    return {
        "name": name,
        "curve": _curve(own / "learning-curve.svg", result, name),
        "alpha": _figure(
            own / "alpha.svg",
            f"Distribution of alpha in each layer of {name}, with its share of negative entries.",
            f"{name}: alpha by layer, and the share of its entries that are negative",
        ),
        "fits": _figure(
            own / "sine-fits.svg",
            f"Test tasks' curves, and the network of {name} before and {after} on the support points, with "
            "its mean squared errors.",
            f"{name}: test tasks before and {after}",
        ),
        "predictions": _figure(
            own / "predictions.png",
            f"Test episodes: a row per class, with its support pictures, then query pictures that {name} "
            f"classifies rightly or wrongly, before and {after}.",
            f"{name}: query pictures of test tasks before and {after}. A wrong one has a notched corner; the "
            "numbers are of all query pictures of a task.",
        ),
    }


def _curve(path: Path, result: Result, name: str) -> Figure | None:
    kept = result.training.chosen_iteration if result.training else None
    chosen = f"; the checkpoint of iteration {kept:,} was kept" if kept is not None else ""
    drawn, shaded = f"training loss and validation {METRICS[result.metric].name}", ""
    if result.metric == "return":
        drawn = "average return before and after adaptation, and on validation tasks,"
        shaded = "; shaded: 95 % intervals over the tasks of an iteration"
    alt = f"Learning curve of {name}: {drawn} by meta-iteration{chosen}."
    return _figure(path, alt, f"{name}: meta-training{shaded}")


def _figure(path: Path, alt: str, caption: str) -> Figure | None:
    if not path.is_file():
        return None
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Figure(f"data:{MIME[path.suffix]};base64,{content}", alt, caption, path.suffix != ".png")
