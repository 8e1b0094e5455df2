"""Pictures of navigation: what they show, and that they stay small and the same."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image, ImageSequence

from components.plots.animation import adaptation_animation
from components.plots.planes import REACH, Journeys
from components.plots.style import save
from components.plots.trajectories import EARLY, trajectories_figure
from tests.components.plots.ticks import gaps

MINUS = "\N{MINUS SIGN}"
NAN = float("nan")


def journeys(name: str = "meta-sgd", seed: int = 0, *, horizon: int = 100, stages: int = 4) -> Journeys:
    """As of policies that were hardly trained: 20 wild walks towards each of 4 goals."""
    random = np.random.default_rng(seed)
    moves = random.normal(0, 0.07, (stages, 4, 20, horizon, 2))
    goals = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 2))
    return Journeys(
        name=name,
        paths=(moves.cumsum(axis=3) - moves[..., :1, :]).astype(np.float32),
        alive=np.ones((stages, 4, 20, horizon), bool),
        goals=goals.astype(np.float32),
        starts=np.zeros((4, 2), np.float32),
        returns=-10.0 * np.arange(1, 4 * stages + 1).reshape(stages, 4),
    )


def straight(ends: int, horizon: int = 40) -> Journeys:
    """One trajectory to the right by 0.01 per action, before and after; it ends after `ends` actions."""
    time = np.arange(horizon)
    line = np.stack([0.01 * np.minimum(time, ends), 0.0 * time], axis=-1)
    return Journeys(
        name="maml",
        paths=np.tile(line, (2, 1, 1, 1, 1)),
        alive=np.tile(time < ends, (2, 1, 1, 1)),
        goals=np.array([[0.1, 0.0]]),
        starts=np.zeros((1, 2)),
        returns=np.array([[-4.0], [-1.5]]),
    )


def finite(axes: Axes, number: int) -> np.ndarray:
    """The first coordinates of a line, without its gaps."""
    x = np.asarray(axes.lines[number].get_xdata(), float)
    return x[np.isfinite(x)]


def frames(path: Path) -> list[Image.Image]:
    with Image.open(path) as image:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]


def test_figure_has_a_row_per_algorithm_and_a_column_per_goal() -> None:
    """In one square view; titles say the mean returns before and after one step."""
    figure = trajectories_figure([journeys(), journeys("maml", 1)])
    assert [panel.get_ylabel() for panel in figure.axes] == ["meta-sgd", "", "", "", "maml", "", "", ""]
    title = figure.axes[1].get_title(loc="left").replace(MINUS, "-")
    assert title == "return -20.00 → -60.00"
    assert {(*panel.get_xlim(), *panel.get_ylim()) for panel in figure.axes} == {(-REACH, REACH) * 2}
    assert {panel.get_aspect() for panel in figure.axes} == {1.0}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "before", f"after one step, first {EARLY} actions", "later ones", "start", "goal",
    ]  # fmt: skip


def test_figure_shows_trajectories_up_to_their_end() -> None:
    """The first actions after the step are drawn apart from the later ones, without a gap between."""
    (panel,) = trajectories_figure([straight(ends=30)]).axes
    _, _, before, later, early = (finite(panel, number) for number in range(5))
    assert before.tolist() == pytest.approx([0.01 * time for time in range(31)])
    assert early.tolist() == pytest.approx([0.01 * time for time in range(EARLY + 1)])
    assert later.tolist() == pytest.approx([0.01 * time for time in range(EARLY, 31)])
    (panel,) = trajectories_figure([straight(ends=5)]).axes
    assert finite(panel, 3).size == 0
    assert finite(panel, 4).tolist() == pytest.approx([0.01 * time for time in range(6)])


def test_figure_shows_goals_that_lie_farther_out() -> None:
    """The range of the goals is a parameter of the tasks."""
    near = straight(ends=10)
    far = Journeys("maml", near.paths, near.alive, np.array([[3.0, -4.0]]), near.starts, near.returns)
    for panel in trajectories_figure([far]).axes:
        assert panel.get_xlim()[1] > 4


@pytest.mark.parametrize("goal", [0.1, 0.8, 4.0, 77.0])
def test_ticks_do_not_collide(goal: float) -> None:
    """Within a panel and with its neighbour's, however far the goals lie out."""
    own = journeys(horizon=5)
    figure = trajectories_figure([replace(own, goals=np.full((4, 2), goal))])
    assert gaps(figure) > 5


def test_figure_stays_small(tmp_path: Path) -> None:
    """Wild walks of two algorithms, longer ones, and more algorithms."""
    lanes = [
        [journeys(), journeys("maml", 1)],
        [journeys(horizon=500)],
        [journeys(f"{k}", k) for k in range(3)],
    ]
    for lane in lanes:
        save(trajectories_figure(lane), tmp_path / "trajectories.svg")
        assert (tmp_path / "trajectories.svg").stat().st_size < 300_000


def test_animation_moves_through_the_stages_and_loops(tmp_path: Path) -> None:
    """Before adaptation and after the step that counts, for ever; a stage ends with a longer look."""
    adaptation_animation([journeys(), journeys("maml", 1)], tmp_path / "new" / "adaptation.gif")
    with Image.open(tmp_path / "new" / "adaptation.gif") as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0
        pauses = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert 30 <= len(pauses) <= 50
    assert sum(pause > 1000 for pause in pauses) == 2
    assert 5_000 < sum(pauses) < 15_000


def test_pictures_end_after_the_steps_that_count(tmp_path: Path) -> None:
    """The second of two steps, for a learner that takes two: further ones that were scored are not shown."""
    one, two = journeys(), replace(journeys("from-scratch", 1), steps=2)
    figure = trajectories_figure([one, two])
    labels = [panel.get_ylabel() for panel in figure.axes if panel.get_ylabel()]
    assert labels == ["meta-sgd\nafter one step", "from-scratch\nafter 2 steps"]
    titles = [figure.axes[place].get_title(loc="left").replace(MINUS, "-") for place in (0, 4)]
    assert titles == ["return -10.00 → -50.00", "return -10.00 → -90.00"]
    assert [text.get_text() for text in figure.legends[0].get_texts()][1].startswith("after adaptation")
    for name, own in (("one", one), ("two", replace(one, steps=2))):
        adaptation_animation([own], tmp_path / f"{name}.gif")
    first, second = (frames(tmp_path / f"{name}.gif") for name in ("one", "two"))
    assert len(first) == len(second)
    half = len(first) // 2
    assert first[half - 1].tobytes() == second[half - 1].tobytes()
    assert first[-1].tobytes() != second[-1].tobytes()


def test_animation_stays_small(tmp_path: Path) -> None:
    adaptation_animation([journeys(), journeys("maml", 1)], tmp_path / "adaptation.gif")
    assert (tmp_path / "adaptation.gif").stat().st_size < 700_000


def test_animation_rests_where_a_trajectory_has_ended(tmp_path: Path) -> None:
    """After five actions only the clock and the fading trail change: at the end, the point is at 0.05."""
    adaptation_animation([straight(ends=5)], tmp_path / "adaptation.gif")
    first, *_, last = frames(tmp_path / "adaptation.gif")
    blue = np.argwhere((np.asarray(last) == (0, 114, 178)).all(axis=-1))
    assert not (np.asarray(first) == (0, 114, 178)).all(axis=-1).any()
    center = last.width / 2
    assert center < blue[:, 1].mean() < center + 0.15 * last.width


def test_animation_of_one_algorithm_and_a_short_horizon(tmp_path: Path) -> None:
    """Fewer goals, stages and actions than there could be."""
    adaptation_animation([straight(ends=1, horizon=1)], tmp_path / "short.gif")
    assert len(frames(tmp_path / "short.gif")) == 2


def test_what_is_not_finite_is_drawn_as_nothing(tmp_path: Path) -> None:
    """A policy whose adaptation diverged has no places to show."""
    good = journeys(horizon=10)
    paths, returns = good.paths.copy(), good.returns.copy()
    paths[1:, :, :, 1:], returns[1:] = NAN, NAN
    lost = Journeys("maml", paths, good.alive, good.goals, good.starts, returns)
    figure = trajectories_figure([good, lost])
    assert figure.axes[4].get_title(loc="left").endswith("→ nan")
    save(figure, tmp_path / "trajectories.svg")
    adaptation_animation([good, lost], tmp_path / "adaptation.gif")


def test_equal_journeys_have_equal_bytes(tmp_path: Path) -> None:
    """A rerun changes no hash, and the global style stays as it was."""
    before = dict(mpl.rcParams)
    for name in ("first", "second"):
        save(trajectories_figure([journeys(horizon=20)]), tmp_path / f"{name}.svg")
        adaptation_animation([journeys(horizon=20)], tmp_path / f"{name}.gif")
    for suffix in ("svg", "gif"):
        first, second = (tmp_path / f"{name}.{suffix}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
    assert dict(mpl.rcParams) == before
