"""The report: self-contained, escaped, in order, deterministic, and whole or not there at all."""

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fabricated import control, decision, result

from components.artifacts.decision import Decision, Model
from components.report.bars import groups
from components.report.chapter import outcome
from components.report.published import published, published_protocol
from components.report.step import report
from components.report.summary import rows
from metasgd.errors import InputError

Lane = tuple[Path, Path]
WriteLane = Callable[..., Lane]
MINUS = "\N{MINUS SIGN}"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


def model(algorithm: str, version: str | None) -> dict[str, object]:
    return {"algorithm": algorithm, "seed": 1, "version": version}


@pytest.fixture
def lane(write_lane: WriteLane) -> Lane:
    """Meta-SGD beats the MAML that was champion, with a learning curve and episodes to show."""
    comparison = {
        "challenger": model("meta-sgd", "3"),
        "champion": model("maml", "2"),
        "mean_difference": 0.25,
        "interval": [0.2, 0.3],
        "level": 0.95,
        "wins": True,
        "reason": "the interval lies above zero",
    }
    verdict = decision(
        [("meta-sgd", 1, "3")], champion_before="2", champion_after="3", comparisons=[comparison]
    )
    folder, file = write_lane("lane", [result("meta-sgd", 1), result("maml", 1)], verdict)
    (folder / "figures" / "meta-sgd-seed1").mkdir(parents=True)
    (folder / "figures" / "meta-sgd-seed1" / "learning-curve.svg").write_text(SVG)
    (folder / "figures" / "contact-sheet.png").write_bytes(b"png")
    return folder, file


class References(HTMLParser):
    """Every address the page would load, the alt texts of its pictures, and how its tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.alts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [given[key] or "" for key in ("src", "href", "srcset", "data") if key in given]
        self.alts += [given.get("alt")] if tag == "img" else []
        assert tag not in ("script", "link", "iframe", "object")


def test_page_loads_nothing_from_outside(lane: Lane, tmp_path: Path) -> None:
    """It opens from an artifact store, offline, and sends nothing anywhere."""
    report([lane[0]], [lane[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    found = References(page)
    assert all(address.startswith(("data:image/", "#")) for address in found.addresses)
    assert not re.search(r"https?:|url\(|@import", page)
    assert len(found.alts) == 2
    assert all(found.alts)


def test_page_says_scores_decision_and_provenance(lane: Lane, tmp_path: Path) -> None:
    report([lane[0]], [lane[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    for text in ("4.000 ± 0.400", "0.900 ± 0.100", "+0.250 [+0.200, +0.300]", "inputs in [-5, 5]"):
        assert text in page
    assert "The new champion is meta-sgd, seed 1 (version 3); before, it was version 2." in page
    for provenance in ("0123abcd", "a1b2", "c3d4"):
        assert provenance in page


@pytest.fixture
def navigation(write_lane: WriteLane) -> Lane:
    """Meta-SGD beats MAML at navigation, with a picture of every kind; a reference takes many steps."""
    comparison = {
        "challenger": model("meta-sgd", "2"),
        "champion": model("maml", "1"),
        "mean_difference": 0.894,
        "interval": [0.41, 1.38],
        "level": 0.95,
        "wins": True,
        "reason": "",
    }
    many = [{"step": step, "mean": -50.0 + step, "ci95": 1.0} for step in range(21)]
    scratch = control("from-scratch", reference=True, steps=many, adapted=20)
    verdict = decision(
        [("meta-sgd", 1, "2"), ("maml", 1, "1")],
        experiment="navigation",
        champion_after="2",
        comparisons=[comparison],
    )
    folder, file = write_lane("navigation", [control("meta-sgd"), control("maml"), scratch], verdict)
    (folder / "figures" / "meta-sgd-seed1").mkdir(parents=True)
    for name in ("meta-sgd-seed1/learning-curve.svg", "meta-sgd-seed1/alpha.svg", "trajectories.svg"):
        (folder / "figures" / name).write_text(SVG)
    (folder / "figures" / "adaptation.gif").write_bytes(b"GIF89a")
    return folder, file


def words_of(page: str) -> str:
    """The page's text as it is read: without tags, and with single spaces."""
    body = page[page.index("<body>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).replace(MINUS, "-").split())


def test_a_control_lane_in_words(navigation: Lane, tmp_path: Path) -> None:
    """Returns, not errors: what a task gives, scores after each step, the paper's values, the difference."""
    report([navigation[0]], [navigation[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    words = words_of(page)
    for text in (
        "average return, 20 trajectories",
        "Each of the 600 test tasks gives the network 20 trajectories to adapt on. Its score is the average "
        "undiscounted return of fresh trajectories: higher is better.",
        "The model is a Gaussian policy with 10,604 parameters.",
        "20 -41.25 ± 1.50 -9.13 ± 0.52 -8.50 ± 0.50 (2 steps) -12.75 ± 0.25 (3 steps) -8.64 ± 0.68",
        "20 -50.00 ± 1.00 -49.00 ± 1.00 -30.00 ± 1.00 (20 steps)",
        "-9.12 ± 0.66",
        "the paper's values are after 100 meta-iterations; here, it is 10,000",
        "20 tasks a meta-iteration",
        "+0.89 [+0.41, +1.38]",
    ):
        assert text in words
    assert "(19 steps)" not in words
    assert "squared error" not in words
    assert not re.search(r">-\d", page)  # minus signs, no hyphens


def test_control_pictures_are_in_the_page(navigation: Lane, tmp_path: Path) -> None:
    """The moving picture can be closed, and is not there for those who want no motion."""
    report([navigation[0]], [navigation[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    found = References(page)
    images = [address.partition(";")[0] for address in found.addresses if address.startswith("data:")]
    assert images == ["data:image/svg+xml", "data:image/gif", "data:image/svg+xml", "data:image/svg+xml"]
    still, moving, curve, _ = found.alts
    assert "Trajectories on test tasks" in str(still)
    assert "Animation" in str(moving)
    assert "average return before and after adaptation" in str(curve)
    assert re.search(r'<details class="motion" open>(?:(?!</details>).)*data:image/gif', page, re.DOTALL)
    assert "@media (prefers-reduced-motion: reduce) { .motion { display: none; } }" in page


def test_returns_lie_on_a_line_that_ends_at_zero(navigation: Lane, write_lane: WriteLane) -> None:
    """The lowest score is at the left end, 0 at the right one; what diverged is at the worse end."""
    (group,) = groups(rows([navigation[0]], [navigation[1]]))
    assert (group.start, group.end, group.higher_is_better) == (f"{MINUS}50", "0", True)
    (_, bar), *_, (_, scratch) = group.rows
    assert (bar.before, bar.after, bar.paper) == (17.5, 81.75, 82.72)
    assert (bar.low, bar.high) == (80.7, 82.8)
    assert (scratch.before, scratch.after, scratch.paper) == (0.0, 40.0, None)
    steps = [{"step": 0, "mean": -20, "ci95": 1}, {"step": 1, "mean": float("nan"), "ci95": float("nan")}]
    folder, file = write_lane("nan", [control("maml", steps=steps)], decision([], experiment="navigation"))
    ((_, diverged),) = groups(rows([folder], [file]))[0].rows
    assert (diverged.before, diverged.after, diverged.low, diverged.high) == (0.0, 0.0, 0.0, 0.0)


def test_errors_lie_on_a_line_that_starts_at_zero(lane: Lane) -> None:
    (group,) = groups(rows([lane[0]], [lane[1]]))
    assert (group.start, group.end, group.measure) == ("0", "4", "5-shot mean squared error")
    assert [(bar.before, bar.after) for _, bar in group.rows] == [(100.0, 22.5)] * 2


def test_summary_holds_the_rows(lane: Lane, tmp_path: Path) -> None:
    """Plain JSON for other programs."""
    report([lane[0]], [lane[1]], tmp_path / "out")
    first, second = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (first["algorithm"], first["version"], first["champion"]) == ("meta-sgd", "3", True)
    assert first["after"] == {"mean": 0.9, "ci95": 0.1, "over_seeds": None}
    assert (second["algorithm"], second["version"], second["champion"]) == ("maml", "-", False)


def test_report_grows_lane_by_lane(write_lane: WriteLane, lane: Lane, tmp_path: Path) -> None:
    """Earlier chapters and rows come first; grown and written at once are the same bytes."""
    other = write_lane("other", [result("maml", 1, experiment="b")], decision([], experiment="b"))
    report([lane[0]], [lane[1]], tmp_path / "first")
    report([other[0]], [other[1]], tmp_path / "grown", earlier=tmp_path / "first")
    report([lane[0], other[0]], [lane[1], other[1]], tmp_path / "at-once")
    page = (tmp_path / "grown" / "report.html").read_text()
    assert 0 < page.index('id="sine"') < page.index('id="b"')
    for name in ("report.html", "summary.json", "chapters/sine.html", "chapters/b.html"):
        assert (tmp_path / "grown" / name).read_bytes() == (tmp_path / "at-once" / name).read_bytes()


def test_a_lane_told_anew_replaces_its_chapter(lane: Lane, tmp_path: Path) -> None:
    report([lane[0]], [lane[1]], tmp_path / "out")
    report([lane[0]], [lane[1]], tmp_path / "out", earlier=tmp_path / "out")
    assert (tmp_path / "out" / "report.html").read_text().count('id="sine"') == 1
    assert len(json.loads((tmp_path / "out" / "summary.json").read_text())) == 2


def test_hostile_names_are_escaped(write_lane: WriteLane, tmp_path: Path) -> None:
    """A name is text, never markup and never a path."""
    name = '../<script>alert("x")</script>'
    lane = write_lane(
        "lane", [result("<b>a", 1, experiment=name, notes=["<i>n"])], decision([], experiment=name)
    )
    report([lane[0]], [lane[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    for markup in ("<script", "<b>a", "<i>n"):
        assert markup not in page
    assert "&lt;script&gt;" in page
    assert [path.parent for path in (tmp_path / "out").rglob("*script*")] == [tmp_path / "out" / "chapters"]


def test_a_failed_report_leaves_the_old_one(lane: Lane, tmp_path: Path) -> None:
    """No half-written page, and nothing left beside it."""
    report([lane[0]], [lane[1]], tmp_path / "out")
    before = (tmp_path / "out" / "report.html").read_bytes()
    (lane[0] / "meta-sgd-seed1.json").unlink()
    with pytest.raises(InputError, match=r"meta-sgd-seed1\.json"):
        report([lane[0]], [lane[1]], tmp_path / "out")
    assert (tmp_path / "out" / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lane", "out"]


def test_an_earlier_folder_without_a_report_is_refused(lane: Lane, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"summary\.json: no such file"):
        report([lane[0]], [lane[1]], tmp_path / "out", earlier=tmp_path)
    assert not (tmp_path / "out").exists()


def test_outcome_in_words() -> None:
    """The four ways a decision can end."""
    champion = Model("maml", 1, "2")

    def verdict(before: str | None, after: str | None, dry_run: bool = False) -> str:
        return outcome(Decision("x", "x", "t", dry_run, before, after, [champion], []))

    assert verdict(None, "2") == "The new champion is maml, seed 1 (version 2); there was none before."
    assert verdict("2", "2") == "Version 2 stays the champion: no challenger won."
    assert verdict(None, None) == "There is no champion: no challenger won."
    assert "nothing was registered: no challenger would win" in verdict("2", "2", dry_run=True)


def test_published_values_are_the_papers(write_lane: WriteLane, tmp_path: Path) -> None:
    """Printed as the paper prints them, beside the measured ones; absent where it has none."""
    values = [published("sinusoid-5shot-paper", "meta-sgd", 5), published("omniglot-5way-1shot", "maml", 1)]
    assert [v and v.text(metric) for v, metric in zip(values, ("mse", "accuracy"), strict=True)] == [
        "0.90 ± 0.16",
        "98.7 ± 0.4 %",
    ]
    recalled = published("sinusoid-20shot-paper", "maml", 5)
    assert recalled is not None
    assert recalled.text("mse") == "1.29 ± 0.20 †"
    varying = published("navigation-varying", "meta-sgd", 20)
    assert varying is not None
    assert varying.text("return") == f"{MINUS}10.15 ± 0.62"
    assert published("navigation-short", "maml", 20) is None
    assert published("glyphs-5way-1shot", "maml", 1) is None
    assert published_protocol("glyphs") is None
    name = "sinusoid-5shot-paper"
    lane = write_lane("lane", [result("maml", 1, experiment=name)], decision([], experiment=name))
    report([lane[0]], [lane[1]], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1.13 ± 0.18" in page
    assert "not measured here" in page


def test_command_reports_bad_input_in_one_line(tmp_path: Path) -> None:
    """Exit code 2 and one line that names the file."""
    options = ["--results", "none", "--decisions", "no.json", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "components.report", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no.json: no such file")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_and_step_load_nothing_heavy() -> None:
    """The page is written by a process of its own: torch, mlflow and kfp would be most of its time."""
    heavy = "sorted({'torch', 'mlflow', 'kfp', 'matplotlib'} & set(sys.modules))"
    code = f"import sys, components.report.step; print({heavy}); import components.report.__main__"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
