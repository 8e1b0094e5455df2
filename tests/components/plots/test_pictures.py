"""Pictures: what they show, in numbers read back from the figures, and that their bytes are stable."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.plots.alpha import alpha_by_layer, alpha_table
from components.plots.contact_sheet import contact_sheet, episode_sheet, framed
from components.plots.curves import learning_curve, returns_curve
from components.plots.prediction_sheet import Predicted, prediction_sheet
from components.plots.sine_fits import sine_fits
from components.plots.style import save
from metasgd.errors import InputError
from tests.components.plots.ticks import gaps

NAN = float("nan")
CURVE = pd.DataFrame(
    {
        "iteration": [1, 2, 3, 4, 5, 6],
        "train_loss": [6.0, 5.0, 4.0, 3.0, 2.0, 2.0],
        "validation": [NAN, 0.5, NAN, 0.3, NAN, 0.4],
    }
)
RETURNS = pd.DataFrame(
    {
        "iteration": [1, 2, 3, 4],
        "return_before": [-40.0, -42.0, -41.0, -43.0],
        "return_before_sem": [1.0, 1.0, 1.0, 1.0],
        "return_after": [-30.0, -20.0, -12.0, -10.0],
        "return_after_sem": [2.0, 2.0, 1.0, 1.0],
        "validation": [NAN, -19.0, NAN, -11.0],
    }
)
FIT = {
    "title": "five points",
    "support_x": [-1.0, -2.0],
    "support_y": [0.1, 0.2],
    "query_x": [-5.0, 0.0, 5.0],
    "truth": [0.0, 1.0, 0.0],
    "before": [0.0, 0.0, 0.0],
    "after": [0.1, 0.9, 0.1],
}


def test_learning_curve_marks_the_best_validation() -> None:
    """The lowest error is chosen for mse, the highest for accuracy, unless the iteration is given."""
    marked = {
        "error": learning_curve(CURVE, "mse"),
        "accuracy": learning_curve(CURVE, "accuracy"),
        "last": learning_curve(CURVE, "mse", chosen=6),
    }
    titles = {name: figure.axes[1].get_title(loc="right") for name, figure in marked.items()}
    assert "0.300 at iteration 4" in titles["error"]
    assert "50.0% at iteration 2" in titles["accuracy"]
    assert "0.400 at iteration 6" in titles["last"]


def test_pictures_that_stand_beside_each_other_share_their_axes() -> None:
    """Losses up to 2 and 60, validation at .3 and .9, returns to -10 and -100, and rates of 4 and .01."""
    other = CURVE.assign(train_loss=10 * CURVE["train_loss"], validation=CURVE["validation"] + 0.5)
    losses = [learning_curve(one, "mse", beside=[CURVE, other.iloc[:5]]).axes for one in (CURVE, other)]
    for number in range(2):
        assert losses[0][number].get_ylim() == losses[1][number].get_ylim()
        assert losses[0][number].get_xlim() == losses[1][number].get_xlim()
    assert losses[0][0].get_ylim()[1] > 50
    low, high = losses[0][1].get_ylim()
    assert (low < 0.3, high > 0.9) == (True, True)
    worse = RETURNS.assign(return_before=-100.0)
    returns = [returns_curve(one, 20, beside=[RETURNS, worse]).axes[0] for one in (RETURNS, worse)]
    assert returns[0].get_ylim() == returns[1].get_ylim()
    assert returns[0].get_ylim()[0] < -100
    rates = {"weight": np.array([-1.0, 0.0, 1.0, 4.0])}, {"all": np.array(0.01)}
    scales = {alpha_by_layer(own, beside=rates).axes[0].get_xlim() for own in rates}
    assert len(scales) == 1


def test_learning_curve_without_validation_shows_the_loss_alone() -> None:
    """A final run on all classes has no validation scores."""
    assert len(learning_curve(CURVE.assign(validation=NAN), "accuracy").axes) == 1


def test_learning_curve_survives_a_diverged_loss() -> None:
    """The curve of a run that diverged is the one somebody wants to look at."""
    learning_curve(CURVE.assign(train_loss=[1.0, 2.0, np.inf, NAN, NAN, NAN]), "mse")


def test_returns_curve_shows_both_stages_with_intervals_over_tasks() -> None:
    """Student's t with 3 degrees of freedom: 3.18245 standard errors above and below the mean."""
    axes = returns_curve(RETURNS, tasks=4).axes[0]
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    assert lines["before adaptation"].tolist() == RETURNS["return_before"].tolist()
    assert lines["after adaptation"].tolist() == RETURNS["return_after"].tolist()
    assert lines["after, on validation tasks"].tolist() == [-19.0, -11.0]
    after = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert after.max() == pytest.approx(-10 + 3.18245, abs=1e-4)
    assert after.min() == pytest.approx(-30 - 2 * 3.18245, abs=1e-4)
    low, high = axes.get_ylim()
    assert low < after.min() < after.max() < high


def test_returns_curve_marks_the_highest_validation() -> None:
    """Unless the iteration is given; without validation there is nothing to mark."""

    def marked(curve: pd.DataFrame, chosen: int | None) -> str:
        title = returns_curve(curve, 4, chosen).axes[0].get_title(loc="right")
        return title.replace("\N{MINUS SIGN}", "-")

    assert "-11.00 at iteration 4" in marked(RETURNS, None)
    assert "-19.00 at iteration 2" in marked(RETURNS, 2)
    assert marked(RETURNS.assign(validation=NAN), 2) == ""


def test_returns_curve_is_not_flattened_by_policies_that_wander_off() -> None:
    """A hundred iterations, of which the first three lost thousands: the view is that of the others."""
    iterations = np.arange(1, 101)
    means = np.where(iterations <= 3, -9000.0, -10.0 - iterations % 10)
    curve = pd.DataFrame({"iteration": iterations, "validation": NAN})
    for stage in ("before", "after"):
        curve[f"return_{stage}"], curve[f"return_{stage}_sem"] = means, 1.0
    low, high = returns_curve(curve, tasks=20).axes[0].get_ylim()
    assert -40 < low < -19
    assert -10 < high < 0


@pytest.mark.parametrize("tasks", [1, 20])
@pytest.mark.parametrize("value", [NAN, -np.inf])
def test_returns_curve_survives_what_is_not_finite(tmp_path: Path, value: float, tasks: int) -> None:
    """A run that diverged, from some point on or from the first, and one task with no standard error."""
    diverged = RETURNS.assign(return_after=[-30.0, value, value, value], return_after_sem=NAN)
    nothing = RETURNS.assign(**dict.fromkeys(RETURNS.columns.drop("iteration"), value))
    for curve in (diverged, nothing, RETURNS.iloc[:1]):
        save(returns_curve(curve, tasks, chosen=2), tmp_path / "curve.svg")


def test_returns_curve_of_a_long_run_stays_small(tmp_path: Path) -> None:
    long = pd.concat([RETURNS] * 5000, ignore_index=True).assign(iteration=range(20000), validation=NAN)
    save(returns_curve(long, 20), tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").stat().st_size < 500_000


def test_sine_fits_draw_one_panel_per_task() -> None:
    """Each panel holds the truth, the network before and after, and the support points.

    Its errors are 1 / 3 and 0.03 / 3.
    """
    figure = sine_fits([FIT, FIT | {"title": "all at x < 0"}])
    assert [panel.get_title(loc="left").splitlines() for panel in figure.axes] == [
        ["five points", "error 0.33 → 0.01"],
        ["all at x < 0", "error 0.33 → 0.01"],
    ]
    truth, before, after, support = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines]
    assert truth == FIT["truth"]
    assert before == FIT["before"]
    assert after == FIT["after"]
    assert support == FIT["support_y"]


def test_sine_fits_say_how_many_steps_it_took() -> None:
    """A reference takes a hundred; all have one view, by the curves alone."""
    wild = FIT | {"before": [90.0, 90.0, 90.0]}
    tamed, missed = sine_fits([FIT]), sine_fits([wild], steps=100)
    words = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (tamed, missed)]
    assert "after one step" in words[0]
    assert "after 100 steps" in words[1]
    assert tamed.axes[0].get_ylim() == missed.axes[0].get_ylim()


def test_episode_sheet_frames_support_and_query_apart() -> None:
    """Two classes, one support and one query picture of 4x4: tiles of 6x6 with a gap of one pixel."""
    episode = np.full((2, 2, 1, 4, 4), 7, np.uint8)
    sheet = episode_sheet(episode, 1, "#0000FF", "#C0C0C0")
    assert sheet.shape == (12, 6 + 1 + 6, 4)
    assert sheet[0, 0].tolist() == [0, 0, 255, 255]
    assert sheet[0, 6, 3] == 0  # transparent
    assert sheet[0, 7].tolist() == [192, 192, 192, 255]
    assert sheet[1:5, 1:5, :3].tolist() == sheet[7:11, 8:12, :3].tolist() == np.full((4, 4, 3), 7).tolist()


def test_a_notch_covers_the_corner_of_its_picture_alone() -> None:
    """Two black pictures of 6x6 on tiles of 8x8: the notch of the second is a triangle of three pixels."""
    tiles = framed(
        np.zeros((1, 2, 1, 6, 6), np.uint8), np.array([["#00FF00", "#FF0000"]]), np.array([[False, True]])
    )
    green, red = tiles[:, :8, :3], tiles[:, 8:, :3]
    assert (green == [0, 255, 0]).all(axis=-1).sum() == 64 - 36
    assert (red == [255, 0, 0]).all(axis=-1).sum() == 64 - 36 + 3
    assert red[1, 5:7].tolist() == [[255, 0, 0]] * 2
    assert red[2, 5:7].tolist() == [[0, 0, 0], [255, 0, 0]]


def test_prediction_sheet_shows_what_was_right_before_and_after() -> None:
    """Two classes with one support and two query pictures: one is right before, and one undecided."""
    verdicts = np.array([[[1, -1], [-1, 0]], [[1, 1], [1, 1]]])
    support, queries = (np.zeros((2, count, 1, 14, 14), np.uint8) for count in (1, 2))
    figure = prediction_sheet([Predicted(support, queries, verdicts, (0.25, 1.0))] * 2, steps=1)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["support", "before: 25%", "after one step: 100%"] * 2
    before, after = (np.asarray(panel.images[0].get_array()) for panel in figure.axes[1:3])
    frames = [[before[row, column, :3].tolist() for column in (0, 16)] for row in (0, 16)]
    green, orange, grey = [0, 158, 115], [213, 94, 0], [154, 163, 173]
    assert frames == [[green, orange], [orange, grey]]
    assert [[after[row, column, :3].tolist() for column in (0, 16)] for row in (0, 16)] == [[green] * 2] * 2


def test_pictures_of_things_lie_on_a_transparent_ground_and_plots_on_white(tmp_path: Path) -> None:
    """A dark page shows through the first, and turns the colours of the second round."""
    save(contact_sheet(np.zeros((1, 5, 4, 1, 12, 12), np.uint8), 1), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]
    save(alpha_by_layer({"all": np.array(0.01)}), tmp_path / "alpha.svg")
    assert "fill: #ffffff" in (tmp_path / "alpha.svg").read_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet_shows_every_episode(channels: int) -> None:
    """Grey and colour pictures; an empty place in the grid holds no picture."""
    figure = contact_sheet(np.zeros((3, 5, 8, channels, 12, 12), np.uint8), shots=1)
    assert [len(panel.images) for panel in figure.axes] == [1, 1, 1, 0]


def test_alpha_table_counts_negative_entries() -> None:
    """A weight (-1, 0, 1, 4) by hand, and a single rate."""
    table = alpha_table({"weight": np.array([[-1.0, 0.0], [1.0, 4.0]]), "bias": np.array(0.01)})
    assert table.to_dict("records") == [
        {"layer": "weight", "entries": 4, "mean": 1.0, "median": 0.5, "minimum": -1.0, "maximum": 4.0,
         "negative_share": 0.25},
        {"layer": "bias", "entries": 1, "mean": 0.01, "median": 0.01, "minimum": 0.01, "maximum": 0.01,
         "negative_share": 0.0},
    ]  # fmt: skip


def test_alpha_by_layer_is_symmetric_and_says_the_negative_share() -> None:
    """Zero is in the middle, so that a reader sees at once on which side the rates lie."""
    axes = alpha_by_layer({"weight": np.array([-1.0, 0.0, 1.0, 4.0]), "bias": np.array([0.1, 0.2])}).axes[0]
    low, high = axes.get_xlim()
    assert low == -high
    assert [text.get_text() for text in axes.texts] == ["25%", "0%", "negative"]


@pytest.mark.parametrize("reach", [0.0066, 0.0123, 0.31, 1.0, 87.0])
def test_the_ticks_of_rates_do_not_collide(reach: float) -> None:
    assert gaps(alpha_by_layer({"classifier.weight": np.array([-reach, reach])})) > 5


@pytest.mark.parametrize(
    ("alpha", "labels"),
    [
        ({"weight": np.array(0.01), "bias": np.array(0.01)}, ["all layers"]),
        ({"weight": np.array(0.01), "bias": np.array(-0.02)}, ["weight", "bias"]),
        ({"weight": np.array(0.0)}, ["all layers"]),
    ],
)
def test_rates_that_all_layers_share_take_one_row(alpha: dict[str, np.ndarray], labels: list[str]) -> None:
    """MAML and a learned scalar have one rate: eighteen equal rows would say nothing more."""
    axes = alpha_by_layer(alpha).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == labels


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_equal_figures_have_equal_bytes(tmp_path: Path, suffix: str) -> None:
    """A rerun changes no hash: no dates, no random ids."""
    for draw in (lambda: learning_curve(CURVE, "mse"), lambda: returns_curve(RETURNS, 20)):
        for name in ("first", "second"):
            save(draw(), tmp_path / f"{name}.{suffix}")
        first, second = (tmp_path / f"{name}.{suffix}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
        assert b"<dc:date>" not in first.read_bytes()


def test_drawing_leaves_the_global_style_alone(tmp_path: Path) -> None:
    """A notebook that calls these keeps its own rcParams."""
    before = dict(mpl.rcParams)
    save(sine_fits([FIT]), tmp_path / "fits.svg")
    assert dict(mpl.rcParams) == before


def test_save_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"curve\.jpg.*\.svg or \.png"):
        save(learning_curve(CURVE, "mse"), tmp_path / "curve.jpg")
