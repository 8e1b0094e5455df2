"""What cannot be predicted is one line, and leaves earlier predictions."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from components.config.code import ROOT
from components.console.command import run_command
from components.serving.models import open_model
from components.serving.predict import main
from metasgd.checkpoint import ABOUT
from metasgd.errors import InputError
from tests.components.lane import store
from tests.components.serving.predicting import (
    CLASSES,
    SIDE,
    classifier,
    curves,
    draw,
    draw_task,
    policy,
    predict,
    save,
    table,
    write,
)
from tests.metasgd.small import policy_learner


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
    "class with a tab": (lambda f: draw(f / "support/\t/1.png", 1), (*S, *Q), r"holds '\t/1.png'; expected"),
    "five classes": (lambda f: draw(f / "support/n/1.png", 1), (*S, *Q), "5 classes; expected 2 to 4"),
    "no query": (lambda f: (f / "new").mkdir(), (*S, "--queries", "new"), "new holds no files"),
    "a pipe": (no_pipe, (*S, "--queries", "queries.pipe"), "queries.pipe is no file and no folder"),
    "one broken query": (broken_queries(1), (*S, *Q), "queries/broken 0.png (10 bytes) cannot be decoded"),
    "two broken": (broken_queries(2), (*S, *Q), "2 of 7 queries cannot be decoded: queries/broken 0.png, qu"),
    "broken queries": (broken_queries(7), (*S, *Q), "broken 4.png, ...; expected PNG or JPEG"),
    "newline": (text_file("support/a/\n.txt"), (*S, *Q), r"support holds 'a/\n.txt'; expected"),
    "version": (str, (*S, *Q, "--version", "1"), "is a checkpoint folder; expected no VERSION"),
    "occupied": (text_file("out/notes.txt"), (*S, *Q), "--output out: holds notes.txt, not written by"),
    "a file": (text_file("out"), (*S, *Q), "--output out: is a file; expected the place of a folder"),
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
    assert "MODEL 'gone' is not registered; expected a checkpoint folder" in line
    assert "or one of: none yet" in line


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
        "model": str(tmp_path / "model"), "version": None,
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


def test_pictures_that_were_prepared_in_another_way_are_refused(tmp_path: Path) -> None:
    """A checkpoint whose pictures were scaled as nothing here scales them: one line."""
    classifier(tmp_path / "model")
    document = json.loads((tmp_path / "model" / ABOUT).read_text())
    prepared = {"channels": 1, "size": SIDE, "inverted": True, "scaled": "from -1 to 1"}
    document["about"]["preparation"] = prepared
    (tmp_path / "model" / ABOUT).write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"model: preparation\.scaled: Input should be 'from 0 to 1'"):
        open_model(str(tmp_path / "model"))
