"""The command that adapts a model to a user's own task: what it reads, predicts, writes and refuses."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from components.config.code import ROOT
from components.config.parsing import to_document
from components.console.command import run_command
from components.kinds.experiment import load_experiment
from components.serving.class_folders import Picture
from components.serving.models import open_model
from components.serving.page import predictions_page
from components.serving.predict import main
from components.serving.predictions import stage_names
from metasgd.adaptation import Learner, Meta, Problem
from metasgd.checkpoint import save_checkpoint
from metasgd.configuration import MlpSettings
from metasgd.policy_adaptation import Environments, Plan, stages
from metasgd.seeds import generator
from metasgd.serving import ServedModel
from metasgd.tasks import Examples
from tests.components.lane import PARAMS, store
from tests.metasgd.small import convnet_settings, learner_settings, navigation, policy_learner, sine_learner

SIDE = 8
CLASSES = ["<b>x", "a", "a b", "z\N{GRINNING FACE}"]  # sorted, though "a b/1.png" comes before "a/1.png"
NAVIGATION = (
    "tasks.distribution.horizon=6",
    "tasks.distribution.start=[-0.3, 0.3]",
    "tasks.distribution.clip=0.5",
    "tasks.distribution.discount=0.9",
    "tasks.stored.test_shots=[5]",
    "tasks.stored.test_queries=3",
)


def save(folder: Path, learner: Learner, experiment: str, *overrides: str) -> tuple[Learner, Meta]:
    """A checkpoint as the train step writes it, of a learner that was never trained."""
    tasks = load_experiment(experiment, overrides, PARAMS).tasks
    meta = learner.initial(generator(1, "theta"))
    about = {
        "training": {"experiment": experiment, "algorithm": "meta-sgd", "seed": 7, "train": {}},
        "tasks": to_document(tasks),
    }
    save_checkpoint(folder, learner, meta, about)
    return learner, meta


def classifier(folder: Path, head: str = "shared", ways: int = 4) -> ServedModel:
    """Of small pictures, dark on light as glyphs are."""
    problem = Problem("classification", (1, SIDE, SIDE), ways)
    learner = Learner.build(problem, convnet_settings(head=head), learner_settings(start=(2.0, 2.0)))
    return ServedModel(*save(folder, learner, "glyphs-5way-1shot", f"tasks.source.size={SIDE}"))


def curves(folder: Path, **changes: Any) -> ServedModel:
    return ServedModel(*save(folder, sine_learner(**changes), "sinusoid-5shot"))


def policy(folder: Path, steps: int = 1) -> ServedModel:
    learner = policy_learner(test_steps=steps)
    return ServedModel(*save(folder, learner, "navigation-short", *NAVIGATION))


def draw(path: Path, seed: int) -> np.ndarray:
    """A picture of noise in a file, and its pixels, uint8 [height, width]."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")
    return pixels


def seen(pixels: Sequence[np.ndarray]) -> torch.Tensor:
    """As a network of glyphs sees them: light on dark, [pictures, 1, height, width]."""
    return (255 - torch.tensor(np.stack(pixels)).unsqueeze(1).float()) / 255


def draw_task(folder: Path, classes: Sequence[str] = CLASSES) -> tuple[torch.Tensor, torch.Tensor]:
    """support/ with two pictures of each class, and queries/ with five: (support x, query x), in order."""
    support = [
        draw(folder / "support" / name / f"{shot}.png", 10 * number + shot)
        for number, name in enumerate(classes)
        for shot in (1, 2)
    ]
    queries = [draw(folder / "queries" / f"{number} <i>.png", 100 + number) for number in range(5)]
    return seen(support), seen(queries)


def predict(folder: Path, *options: str | Path, model: str = "model") -> Path:
    """What the command writes for support/ and queries/, or other options."""
    given = options or ("--support", folder / "support", "--queries", folder / "queries")
    main([str(folder / model), *map(str, given), "--output", str(folder / "out")])
    return folder / "out"


def table(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "predictions.csv", keep_default_na=False)


def probabilities(output: Path) -> np.ndarray:
    return table(output).filter(like="p(").to_numpy(np.float32)


# ---- Pictures.


def test_probabilities_are_those_of_the_served_model(tmp_path: Path) -> None:
    """Bit for bit, with the classes in the order of their names; they sum to 1, and the largest one wins."""
    served = classifier(tmp_path / "model")
    support, queries = draw_task(tmp_path)
    expected = served.adapt(Examples(support, torch.arange(4).repeat_interleave(2))).probabilities(queries)
    output = predict(tmp_path)
    found = table(output)
    assert list(found.columns) == ["file", "class", "probability", *(f"p({name})" for name in CLASSES)]
    assert found["file"].tolist() == [str(tmp_path / "queries" / f"{number} <i>.png") for number in range(5)]
    np.testing.assert_array_equal(probabilities(output), expected.numpy())
    np.testing.assert_allclose(probabilities(output).sum(axis=1), 1, rtol=1e-6)
    assert found["class"].tolist() == [CLASSES[number] for number in expected.argmax(dim=1)]
    np.testing.assert_array_equal(found["probability"].to_numpy(np.float32), expected.amax(dim=1).numpy())
    assert len(set(found["class"])) > 1, "a test of one class would tell nothing"


def test_a_query_alone_gets_what_it_gets_among_others(tmp_path: Path) -> None:
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    together = probabilities(predict(tmp_path))
    for number in range(5):
        picture = tmp_path / "queries" / f"{number} <i>.png"
        alone = predict(tmp_path, "--support", tmp_path / "support", "--queries", picture)
        np.testing.assert_array_equal(probabilities(alone)[0], together[number])


def test_queries_are_files_and_folders_each_picture_once(tmp_path: Path) -> None:
    """Folders are searched in depth; hidden files and what systems leave there are passed over."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    places = [tmp_path / "one" / name for name in ("b.png", "deep/a b.PNG", ".hidden.png", ".git/c.png")]
    for number, place in enumerate(places):
        draw(place, number)
    (tmp_path / "one" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "support" / "a" / ".DS_Store").write_bytes(b"")
    file = tmp_path / "queries" / "3 <i>.png"
    given: list[str | Path] = ["--support", tmp_path / "support", "--queries", file, tmp_path / "one"]
    assert table(predict(tmp_path, *given, places[0], file))["file"].tolist() == [
        str(p) for p in (file, *places[:2])
    ]


@pytest.mark.parametrize(("head", "ways"), [("per-class", 2), ("shared", 2), ("shared", 6)])
def test_the_number_of_classes_is_the_users(tmp_path: Path, head: str, ways: int) -> None:
    """A zip archive of the class folders is as good."""
    classifier(tmp_path / "model", head)
    draw_task(tmp_path, [f"class {number}" for number in range(ways)])
    assert probabilities(predict(tmp_path)).shape == (5, ways)


class Page(HTMLParser):
    """Of a page: its pictures' (src, alt), its other attributes with addresses, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[tuple[str, str]] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append((given["src"] or "", given["alt"] or ""))
        elif "src" in given or "href" in given:
            self.links.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_picture_with_its_prediction(tmp_path: Path) -> None:
    """Self-contained, and whatever stands in names is text there."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    output = predict(tmp_path)
    text = (output / "predictions.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.pictures) == 8 + 5
    assert all(src.startswith("data:image/png;base64,") and alt for src, alt in page.pictures)
    assert page.links == []
    assert not page.tags & {"script", "link", "b", "i"}
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text
    for name in CLASSES:
        assert name in page.text
    for row in table(output).to_dict("records"):
        assert f"{row['file']}, predicted to be {row['class']}" in [alt for _, alt in page.pictures]
        assert f"{100 * row['probability']:.1f} %" in page.text


def test_low_confidence_is_said_in_words(tmp_path: Path) -> None:
    """Below two to one; with what comes next."""
    classifier(tmp_path / "model")
    picture = Picture("q.png", torch.zeros(1, SIDE, SIDE))
    found = pd.DataFrame({"class": ["u", "u"], "probability": [0.6, 0.7], "p(t)": [0.1, 0.1],
                          "p(u)": [0.6, 0.7], "p(v)": [0.3, 0.2]})  # fmt: skip
    model = open_model(str(tmp_path / "model"))
    page = Page(predictions_page(model, {name: [picture] for name in "tuv"}, [picture] * 2, found))
    words = " ".join(page.text.split())
    assert "1 of 2 has low confidence" in words
    assert words.count("low confidence; next best") == 1
    assert "next best v (30.0 %)" in words


def test_the_terminal_shows_the_first_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says how many more there are; names are no markup."""
    classifier(tmp_path / "model")
    draw_task(tmp_path)
    for number in range(23):
        draw(tmp_path / "q" / f"[red]{number:02}.png", number)
    (tmp_path / "q" / "24\n.png").write_bytes((tmp_path / "q" / "[red]00.png").read_bytes())
    predict(tmp_path, "--support", tmp_path / "support", "--queries", tmp_path / "q")
    shown = capsys.readouterr().out.replace("\n", "").replace(" ", "")
    assert "...and4morerows" in shown
    assert "[red]18.png" in shown
    assert "[red]20.png" not in shown
    assert "24�.png" in shown, "sorted before the others"


# ---- Curves.


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_curve_before_and_after_adaptation(tmp_path: Path) -> None:
    """As the learner that was saved predicts them."""
    served = curves(tmp_path / "model")
    support = write(tmp_path / "s.csv", "\ufeffx, y\n-2,1.5\n\n0.1,-1\r\n2e0,0\n")
    queries = write(tmp_path / "q.csv", "x\n-1\n0\n3.5\n")
    output = predict(tmp_path, "--support", support, "--queries", queries)
    x = torch.tensor([[-1.0], [0.0], [3.5]])
    points = Examples(torch.tensor([[-2.0], [0.1], [2.0]]), torch.tensor([[1.5], [-1.0], [0.0]]))
    found = table(output).to_numpy(np.float32)
    assert list(table(output).columns) == ["x", "before", "after"]
    np.testing.assert_array_equal(found[:, :1], x.numpy())
    np.testing.assert_array_equal(found[:, 1:2], served.adapt(points, steps=0).predict(x).numpy())
    np.testing.assert_array_equal(found[:, 2:], served.adapt(points).predict(x).numpy())
    assert not np.allclose(found[:, 1], found[:, 2])
    assert "after one step" in (output / "predictions.svg").read_text()


def test_the_only_point(tmp_path: Path) -> None:
    """A figure has room for it, though the curve has no length."""
    curves(tmp_path / "model")
    points = write(tmp_path / "s.csv", "x,y\n1,2\n"), write(tmp_path / "q.csv", "x\n1\n")
    output = predict(tmp_path, "--support", points[0], "--queries", points[1])
    assert len(table(output)) == 1
    assert (output / "predictions.svg").exists()


def test_several_inputs_and_outputs_are_numbered(tmp_path: Path) -> None:
    """They make no curve, so there is no figure."""
    problem = Problem("regression", (2,), 2)
    learner = Learner.build(problem, MlpSettings("mlp", (8,)), learner_settings())
    save(tmp_path / "model", learner, "sinusoid-5shot")
    support = write(tmp_path / "s.csv", "x0,x1,y0,y1\n1,2,3,4\n")
    queries = write(tmp_path / "q.csv", "x0,x1\n5,6\n7,8\n")
    output = predict(tmp_path, "--support", support, "--queries", queries)
    assert list(table(output).columns) == ["x0", "x1", "before0", "before1", "after0", "after1"]
    assert table(output)["x1"].tolist() == [6, 8]
    assert not (output / "predictions.svg").exists()


# ---- Policies.


@pytest.mark.parametrize("steps", [1, 2])
def test_returns_are_those_of_scoring(tmp_path: Path, steps: int) -> None:
    """In the environment, a policy gets what it gets in the batched dynamics on the same goal and noise."""
    served = policy(tmp_path / "model", steps)
    output = predict(tmp_path, "--goal", "0.4", "-0.2", "--goal", "-0.3", "0.1", "--seed", "3")
    found = table(output)
    assert list(found.columns) == ["goal", "goal_x", "goal_y", "stage", "trajectory", "return"]
    assert found["stage"].unique().tolist() == stage_names(steps)
    assert set(zip(found["goal"], found["goal_x"], found["goal_y"], strict=True)) == {
        (1, 0.4, -0.2), (2, -0.3, 0.1)
    }  # fmt: skip
    dynamics = navigation(horizon=6, clip=0.5, start=(-0.3, 0.3))
    for number, goal in enumerate([[0.4, -0.2], [-0.3, 0.1]]):
        start = json.loads((output / "predictions.json").read_text())["starts"][number]
        task = {"goal": torch.tensor([goal]), "start": torch.tensor([start])}
        noise = generator(3, f"prediction noise {number}")
        plan, environments = Plan(5, 3, steps), Environments(dynamics, task)
        expected = list(stages(served.learner, served.meta, environments, plan, noise))
        rows = found.loc[found["goal"] == number + 1, "return"].to_numpy().reshape(steps + 1, 3)
        np.testing.assert_allclose(rows, torch.cat([part.returns() for part in expected]), rtol=1e-5)
        assert not np.allclose(rows[0], rows[1])


def test_a_seed_draws_the_goal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same one every time; means are printed, trajectories drawn."""
    policy(tmp_path / "model")
    first = table(predict(tmp_path, "--seed", "5"))
    assert first.equals(table(predict(tmp_path, "--seed", "5")))
    assert not first.equals(table(predict(tmp_path, "--seed", "6")))
    assert first[["goal_x", "goal_y"]].abs().to_numpy().max() <= 0.5
    mean = first.loc[first["stage"] == "after", "return"].mean()
    assert f"{mean:.2f}".replace("-", "\N{MINUS SIGN}") in capsys.readouterr().out
    assert "svg" in (tmp_path / "out" / "predictions.svg").read_text()[:500]


# ---- What is refused.


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str | Path]) -> str:
    """The one line of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as end:
        run_command(lambda: main(list(map(str, arguments))))
    captured = capsys.readouterr()
    assert (end.value.code, captured.out) == (2, "")
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


def text_file(name: str, text: str | bytes = b"no picture") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())

    return change


def broken_queries(count: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for number in range(count):
            text_file(f"queries/broken {number}.png")(folder)

    return change


def one_class(folder: Path) -> None:
    for name in CLASSES[1:]:
        (folder / "support" / name).rename(folder / name)


def no_pipe(folder: Path) -> None:
    subprocess.run(["mkfifo", str(folder / "queries.pipe")], check=True)


S, Q = ("--support", "support"), ("--queries", "queries")
# What is changed, the options, and what the line says.
WRONG_PICTURES: dict[str, tuple[Callable[[Path], object], Sequence[str], str]] = {
    "no support": (str, Q, "--support is missing; expected what MODEL"),
    "no queries": (str, S, "--queries is missing; expected what MODEL"),
    "absent support": (str, ("--support", "gone", *Q), "SUPPORT gone: no such file or folder"),
    "absent query": (str, (*S, "--queries", "queries", "gone"), "QUERIES gone: no such file or folder"),
    "name of 999": (str, (*S, "--queries", 999 * "x"), "no such file or folder"),
    "a goal": (str, (*S, *Q, "--goal", "0", "0"), "is no policy; expected no --goal"),
    "text in a class": (text_file("support/a/x.txt"), (*S, *Q), "support/a/x.txt is no picture"),
    "no PNG in a class": (text_file("support/a/x.png"), (*S, *Q), "support/a/x.png (10 bytes) cannot be"),
    "picture at the top": (text_file("support/x.png"), (*S, *Q), "x.png lies outside the class folders"),
    "empty class": (lambda f: (f / "support/e").mkdir(), (*S, *Q), "support/e is empty; expected pictures"),
    "hidden class": (text_file("support/e/.x.png"), (*S, *Q), "support/e is empty; expected pictures"),
    "one class": (one_class, (*S, *Q), "support holds one class, '<b>x'; expected 2"),
    "no class": (lambda f: (f / "new").mkdir(), ("--support", "new", *Q), "new holds no class folders"),
    "no archive": (text_file("s.csv"), ("--support", "s.csv", *Q), "s.csv cannot be read"),
    "class with a tab": (lambda f: draw(f / "support/\t/1.png", 1), (*S, *Q), r"has class '\t'; expected"),
    "five classes": (lambda f: draw(f / "support/n/1.png", 1), (*S, *Q), "5 classes; expected 2 to 4"),
    "no query": (lambda f: (f / "new").mkdir(), (*S, "--queries", "new"), "new holds no files"),
    "a pipe": (no_pipe, (*S, "--queries", "queries.pipe"), "queries.pipe is no file and no folder"),
    "one broken query": (broken_queries(1), (*S, *Q), "queries/broken 0.png (10 bytes) cannot be decoded"),
    "two broken": (broken_queries(2), (*S, *Q), "2 of 7 queries cannot be decoded: queries/broken 0.png, qu"),
    "broken queries": (broken_queries(7), (*S, *Q), "broken 4.png, ...; expected PNG or JPEG"),
    "newline": (text_file("support/a/\n.txt"), (*S, *Q), "a/\N{REPLACEMENT CHARACTER}.txt is no picture"),
    "version": (str, (*S, *Q, "--version", "1"), "is a checkpoint folder; expected no VERSION"),
    "occupied": (text_file("out/notes.txt"), (*S, *Q), "--output out: holds what is no output of this"),
    "empty output": (lambda f: (f / "out").mkdir(), (*S, *Q), "--output out: holds what is no output of"),
    "a file": (text_file("out"), (*S, *Q), "--output out: holds what is no output of this"),
    "below a file": (text_file("f"), (*S, *Q, "--output", "f/out"), "/f is a file; expected the place"),
    "long output": (str, (*S, *Q, "--output", 999 * "x"), "File name too long; expected the place"),
    "rather long output": (str, (*S, *Q, "--output", 250 * "x"), "File name too long; expected the place"),
    "output is a link": (lambda f: (f / "out").symlink_to(f / "queries"), (*S, *Q), "--output out: holds"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_PICTURES)
def test_pictures_are_refused_in_one_line(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, and nothing of what was there is changed."""
    classifier(tmp_path / "model", "per-class")
    draw_task(tmp_path)
    change, options, message = WRONG_PICTURES[wrong]
    monkeypatch.chdir(tmp_path)
    change(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert message in refused(capsys, ["model", "--output", "out", *options])
    assert sorted(tmp_path.rglob("*")) == before


WRONG_POINTS: dict[str, tuple[str | bytes, str]] = {
    "header": ("x,z\n1,2\n", "s.csv line 1 is 'x,z'; expected the header x,y"),
    "no header": ("1,2\n3,4\n", "s.csv line 1 is '1,2'; expected the header x,y"),
    "empty": ("", "s.csv line 1 is ''; expected the header x,y"),
    "no rows": ("x,y\n\n", "s.csv holds no points"),
    "word": ("x,y\n1,2\n\n3,four\n", "s.csv line 4: y is 'four'; expected a finite number"),
    "nothing": ("x,y\n1,\n", "s.csv line 2: y is ''; expected a finite number"),
    "nan": ("x,y\nnan,2\n", "s.csv line 2: x is 'nan'; expected a finite number"),
    "infinite": ("x,y\n1,-inf\n", "s.csv line 2: y is '-inf'"),
    "beyond float32": ("x,y\n1,1e39\n", "s.csv line 2: y is '1e39'"),
    "three columns": ("x,y\n1,2\n1,2,3\n", "s.csv line 3 has 3 columns; expected 2: x,y"),
    "binary": (b"\x89PNG\xff\x00", "s.csv is no text; expected a CSV file"),
    "huge field": (f'x,y\n"{200_000 * "1"}",2\n', "s.csv line 2: field larger than field limit"),
    "diverges": ("x,y\n1,1e38\n1,-1e38\n2,1e38\n", "adaptation diverged: predictions are not finite"),
}


@pytest.mark.parametrize("wrong", WRONG_POINTS)
def test_points_are_refused_in_one_line(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the number of the line."""
    monkeypatch.chdir(tmp_path)
    curves(tmp_path / "model")
    text, message = WRONG_POINTS[wrong]
    text_file("s.csv", text)(tmp_path)
    write(tmp_path / "q.csv", "x\n1\n")
    given = ["model", "--support", "s.csv", "--output", "out", "--queries"]
    assert message in refused(capsys, [*given, "q.csv"])
    assert not Path("out").exists()


def test_files_of_points_are_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    curves(tmp_path / "model")
    write(tmp_path / "s.csv", "x,y\n1,2\n")
    given = ["model", "--support", "s.csv", "--output", "out", "--queries"]
    assert "model is no file; expected a CSV file" in refused(capsys, [*given, "model"])
    assert "expected the header x" in refused(capsys, [*given, "s.csv"])
    assert "QUERIES are 2 files; expected one" in refused(capsys, [*given, "s.csv", "s.csv"])


WRONG_GOALS = {
    "neither": ([], "is a policy; expected --goal X Y, or --seed N"),
    "support": (
        ["--seed", "1", "--support", "model"],
        "is a policy, which adapts on trajectories of its own",
    ),
    "seed": (["--seed", "-1"], "--seed is -1; expected 0 or more"),
    "nan": (["--goal", "nan", "0"], "--goal is nan 0; expected a point within 100"),
    "far": (["--goal", "0", "1e9"], "--goal is 0 1e+09; expected a point within 100"),
    "many": (["--goal", "0", "0"] * 101, "--goal is given 101 times"),
}


@pytest.mark.parametrize("wrong", WRONG_GOALS)
def test_goals_are_refused_in_one_line(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy(tmp_path / "model")
    options, message = WRONG_GOALS[wrong]
    assert message in refused(capsys, ["model", "--output", "out", *options])


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a folder nor registered."""
    with store(tmp_path):
        line = refused(capsys, ["gone", "--seed", "1", "--output", "out"])
    assert "MODEL 'gone' is not registered; expected a checkpoint folder, or one of: none yet" in line


def test_a_model_of_other_tasks_has_no_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tasks say how an example is prepared, and must be those of its kind."""
    save(tmp_path / "model", policy_learner(), "sinusoid-5shot")
    line = refused(capsys, [tmp_path / "model", "--seed", "1", "--output", tmp_path / "out"])
    assert "have no Gymnasium environment; expected navigation" in line
    save(tmp_path / "model", classifier(tmp_path / "other").learner, "sinusoid-5shot")
    draw_task(tmp_path)
    given = ["--support", tmp_path / "support", "--queries", tmp_path / "queries"]
    line = refused(capsys, [str(tmp_path / "model"), *map(str, given), "--output", tmp_path / "out"])
    assert "the model takes no pictures" in line


# ---- What is written.


def test_predictions_replace_predictions_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole: nothing of the earlier ones is left. A file that someone put beside them keeps them all."""
    curves(tmp_path / "model")
    policy(tmp_path / "policy")
    support = write(tmp_path / "s.csv", "x,y\n1,2\n")
    queries = write(tmp_path / "q.csv", "x\n1\n2\n")
    output = predict(tmp_path, "--seed", "1", model="policy")
    assert predict(tmp_path, "--support", support, "--queries", queries) == output
    assert len(table(output)) == 2
    about = json.loads((output / "predictions.json").read_text())
    assert about == {
        "written_by": "components.serving.predict", "model": str(tmp_path / "model"), "version": None,
        "algorithm": "meta-sgd", "seed": 7, "steps": 1, "support": 1, "queries": 2,
    }  # fmt: skip
    (output / "notes.txt").write_text("mine")
    capsys.readouterr()
    given: list[str | Path] = [tmp_path / "model", "--support", support, "--queries", queries]
    assert "expected a new folder" in refused(capsys, [*given, "--output", output])
    assert (output / "notes.txt").read_text() == "mine"


def test_a_refusal_leaves_earlier_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curves(tmp_path / "model")
    support = write(tmp_path / "s.csv", "x,y\n1,2\n")
    queries = write(tmp_path / "q.csv", "x\n1\n2\n")
    output = predict(tmp_path, "--support", support, "--queries", queries)
    before = {file.name: file.read_bytes() for file in output.iterdir()}
    write(queries, "x\nno\n")
    capsys.readouterr()
    refused(capsys, [tmp_path / "model", "--support", support, "--queries", queries, "--output", output])
    assert {file.name: file.read_bytes() for file in output.iterdir()} == before


def test_several_steps_are_named(tmp_path: Path) -> None:
    """Where the learner is tested after more than one."""
    learner = sine_learner()
    served = Learner.build(learner.problem, learner.architecture, replace(learner.settings, test_steps=3))
    save(tmp_path / "model", served, "sinusoid-5shot")
    support = write(tmp_path / "s.csv", "x,y\n1,2\n")
    output = predict(tmp_path, "--support", support, "--queries", write(tmp_path / "q.csv", "x\n1\n"))
    assert "after 3 steps" in (output / "predictions.svg").read_text()
    assert stage_names(2) == ["before", "after 1 step", "after 2 steps"]


def test_the_real_command_refuses_before_it_imports_libraries(tmp_path: Path) -> None:
    """As it is typed: exit code 2, one line, and torch was never waited for."""
    code = "import sys, runpy; sys.argv = ['predict', *sys.argv[1:]]\ntry:\n    runpy.run_module("
    code += (
        "'components.serving.predict', run_name='__main__')\nfinally:\n    assert 'torch' not in sys.modules"
    )
    given = ["model", "--support", "gone", "--queries", "gone", "--output", str(tmp_path / "out")]
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: SUPPORT gone: no such file or folder; expected one that is there\n"


def test_the_real_command_predicts(tmp_path: Path) -> None:
    """As it is typed, with warnings as errors: exit code 0 and nothing on stderr."""
    curves(tmp_path / "model")
    write(tmp_path / "s.csv", "x,y\n1,2\n")
    write(tmp_path / "q.csv", "x\n1\n")
    command = [sys.executable, "-W", "error", "-m", "components.serving.predict", str(tmp_path / "model")]
    places = f"--support {tmp_path}/s.csv --queries {tmp_path}/q.csv --output {tmp_path}/out".split()
    done = subprocess.run([*command, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 predictions in" in done.stdout
