"""Write a run down: one self-contained page, its rows as JSON, and each lane's chapter.

    python -m components.report --results RESULTS --decisions DECISION.json --output REPORT

Equal results give equal bytes, unless the page names the MLflow runs, too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pydantic
from pydantic import TypeAdapter

from components.console.messages import duration
from components.plots.pages import page_environment
from components.report.bars import groups
from components.report.chapter import anchor, chapter
from components.report.head import head
from components.report.lanes import read_lanes
from components.report.origin import Origin
from components.report.summary import Row, lane_rows
from components.report.wording import number, score
from metasgd.errors import InputError
from metasgd.own_folder import own_folder


def report(
    results: Sequence[Path],
    decisions: Sequence[Path],
    output: Path,
    earlier: Path | None = None,
    command: str = "",
    origin: Origin | None = None,
) -> None:
    """Write report.html, summary.json and chapters/<experiment>.html into the folder `output`.

    results: the results folder of every lane; decisions: its decision.json, in the same order.
    earlier: the output of an earlier report, whose rows and chapters come first; a lane that is
        told anew replaces its old chapter.
    command: what runs the same lanes again, for the page to name; "" where nobody knows.
    origin: name what differs from run to run: the date, MLflow's runs, the trainings' seconds and machines.
    Raises InputError for missing or contradicting files; `output` is then as it was.
    """
    lanes = read_lanes(results, decisions, origin is not None)
    new = {lane.experiment: _render("chapter.html.j2", chapter(lane, origin)) for lane in lanes}
    new_rows = [row for lane in lanes for row in lane_rows(lane)]
    old_rows = [row for row in (read_summary(earlier) if earlier else []) if row.experiment not in new]
    chapters = {**_earlier_chapters(earlier, old_rows), **new}
    rows = old_rows + new_rows
    page = {
        "groups": groups(rows),
        "head": head(rows, command, origin),
        "chapters": list(chapters.values()),
    }
    files = {f"chapters/{anchor(name)}.html": text for name, text in chapters.items()}
    files["summary.json"] = json.dumps([asdict(row) for row in rows], indent=2) + "\n"
    files["report.html"] = _render("page.html.j2", page)
    with own_folder(output, "components.report") as folder:
        (folder / "chapters").mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def _render(template: str, context: Mapping[str, object]) -> str:
    environment = page_environment(__file__)
    environment.filters.update(score=score, number=number, duration=duration, anchor=anchor)
    return environment.get_template(template).render(context)


def read_summary(folder: Path) -> list[Row]:
    """The rows of a written report. Raises InputError for a folder that is none."""
    path = folder / "summary.json"
    try:
        return TypeAdapter(list[Row]).validate_json(path.read_bytes())
    except OSError:
        raise InputError(f"{path}: no such file; expected the summary of an earlier report") from None
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {error.errors()[0]['msg']}; expected the rows of a report") from None


def _earlier_chapters(earlier: Path | None, rows: list[Row]) -> dict[str, str]:
    """Chapters by experiment, in the order of the rows."""
    experiments = dict.fromkeys(row.experiment for row in rows)
    return {name: _text(Path(earlier or "") / "chapters" / f"{anchor(name)}.html") for name in experiments}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(f"{path}: no such file; expected a chapter of an earlier report") from None
