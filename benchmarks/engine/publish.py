"""The measurements as tables and a bar chart in docs/performance.md."""

import platform
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

from benchmarks.engine.kept import commit
from benchmarks.engine.measure import REFERENCE, Measured
from benchmarks.engine.peers import PEERS
from components.plots.style import BLUE, GREY, LIGHT, ORANGE, save, styled

PAGE, CHART = Path("docs/performance.md"), Path("docs/performance.svg")
PLACE = re.compile(r"(<!-- make bench -->\n).*?(<!-- end -->)", re.DOTALL)
LIBRARIES = ("torch", "higher", "torchopt", "jax")
COLOURS = dict(zip(PEERS, (BLUE, LIGHT, GREY, "#5B6570", ORANGE), strict=True))


def publish(results: Sequence[Measured], command: str) -> None:
    """Replace what the last run wrote."""
    tables = [_times(results), _shares(results), _peaks(results)]
    chart = "![Meta-iterations per second beside the textbook's](performance.svg)"
    text = "\n\n".join([_origin(results, command), chart, *tables])
    page = PAGE.read_text()
    PAGE.write_text(PLACE.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page))
    save(bars(results), CHART)


def _origin(results: Sequence[Measured], command: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    rates = "; ".join(
        f"{threads} thread{'s' if threads > 1 else ''}: {_spread([r / 1e9 for r in rate], '.0f')} GFLOP/s"
        for threads, rate in sorted(_rates(results).items())
    )
    worst = max(max(result.differences.values()) for result in results)
    return (
        f"Commit {commit()}, `{command}`, {datetime.now(UTC):%Y-%m-%d}, {_processor()}, Python "
        f"{platform.python_version()}, {libraries}. Matrix products in the same rounds: {rates}. "
        f"In double precision, every gradient is the textbook's within {worst:.1e} of each tensor's norm."
    )


def _rates(results: Sequence[Measured]) -> dict[int, list[float]]:
    rates: dict[int, list[float]] = {}
    for result in results:
        rates.setdefault(result.workload.threads, []).extend(result.matmul)
    return rates


def _processor() -> str:
    found = re.search(r"model name\s+: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


def _times(results: Sequence[Measured]) -> str:
    def cell(result: Measured, peer: str) -> str:
        return _spread([1000 * value for value in result.seconds[peer]], ".3g")

    def best(result: Measured) -> str:
        peer = result.best_peer()
        return f"**{_spread(result.ratios(peer), '.2f')}** ({peer})"

    title = (
        "Milliseconds per meta-iteration, as the median (least to most) of the rounds, and how many times as "
        "long the best peer took in the same round"
    )
    return _table(title, results, cell, {"best peer": best})


def _shares(results: Sequence[Measured]) -> str:
    def count(result: Measured) -> str:
        return f"{result.workload.operations() / 1e9:.3g}"

    title = "The same as a share of the matmul rate, by the operations that the gradient needs (GFLOP)"
    return _table(title, results, lambda result, peer: f"{result.share(peer):.2g}", {"GFLOP": count})


def _peaks(results: Sequence[Measured]) -> str:
    title = "Peak memory of the whole process while it iterates, MB"
    return _table(title, results, lambda result, peer: f"{result.peaks[peer]:.0f}", {})


def _table(
    title: str,
    results: Sequence[Measured],
    cell: Callable[[Measured, str], str],
    more: dict[str, Callable[[Measured], str]],
) -> str:
    rows = [["workload", *PEERS, *more], ["---"] * (1 + len(PEERS) + len(more))]
    for result in results:
        own = [cell(result, peer) for peer in PEERS]
        rows.append([result.workload.title, *own, *(say(result) for say in more.values())])
    return f"{title}:\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


@styled
def bars(results: Sequence[Measured]) -> Figure:
    """Meta-iterations per second of every library, as multiples of the textbook's; a group per workload."""
    figure = Figure(figsize=(8.2, 0.5 + 0.85 * len(results)))
    axes = figure.subplots()
    height = 0.8 / len(PEERS)
    for number, peer in enumerate(PEERS):
        values = [median(result.seconds[REFERENCE]) / median(result.seconds[peer]) for result in results]
        places = [group + number * height for group in range(len(results))]
        drawn = axes.barh(places, values, height, color=COLOURS[peer], label=peer)
        axes.bar_label(drawn, [f"{value:.2g}x" for value in values], padding=3, fontsize=7.5)
    axes.set_yticks([group + 0.4 - height / 2 for group in range(len(results))])
    axes.set_yticklabels([result.workload.title for result in results])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xscale="log", xlabel="meta-iterations per second, as a multiple of the textbook loop's")
    axes.margins(x=0.12)
    figure.legend(loc="outside upper center", ncols=len(PEERS))
    return figure
