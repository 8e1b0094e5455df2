"""Bad inputs through the commands themselves: exit code 2, one line, at once, and nothing is written.

docs/data.md lists them with what the line says; a row that is missing there fails here.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.config.code import ROOT
from components.console.command import run_command
from components.datasets.__main__ import main as make_data
from components.preprocess.__main__ import main as preprocess
from components.tracking.rollback import main as rollback
from tests.bad_inputs import ALL, ALONE, ARCHIVES, DATA, GOOD, PARAMETERS, STORES, Files


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a data set, a file and somebody's folder."""
    monkeypatch.chdir(tmp_path)
    write(Path("birds"), GOOD)
    Path("file").write_text("a file of somebody's " * 300)
    write(Path("thesis"), {"thesis.txt": b"mine"})
    return tmp_path


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def refused(main: Callable[[], None], arguments: list[str], capsys: pytest.CaptureFixture[str],
            monkeypatch: pytest.MonkeyPatch) -> str:  # fmt: skip
    """The one line of a command that ends with 2 and leaves everything as it was."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert after == before
    return line


@pytest.mark.parametrize("what", DATA)
def test_data(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `make data`, and by an experiment that reads the folder."""
    files, words = DATA[what]
    if what == "only notes":
        write(Path("bad"), {"README.txt": b"notes"})
    else:
        write(Path("bad"), {**GOOD, **files})
    assert words in refused(make_data, ["bad", "--source", "bad"], capsys, monkeypatch)
    assert words in refused(preprocess, options("--set", "tasks.source.path=bad"), capsys, monkeypatch)


@pytest.mark.parametrize("what", ALONE)
def test_layouts(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, words = ALONE[what]
    write(Path("bad"), files)
    assert words in refused(make_data, ["bad", "--source", "bad"], capsys, monkeypatch)


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, words = ARCHIVES[what]
    Path("bad.zip").write_bytes(content)
    assert words in refused(make_data, ["bad", "--source", "bad.zip"], capsys, monkeypatch)


@pytest.mark.parametrize("what", PARAMETERS)
def test_parameters(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, words = PARAMETERS[what]
    assert words in refused(preprocess, options(*arguments), capsys, monkeypatch)


@pytest.mark.parametrize("what", STORES)
def test_stores(
    place: Path, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, words = STORES[what]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert words in refused(rollback, ["glyphs-5way-1shot"], capsys, monkeypatch)


def options(*others: str) -> list[str]:
    """Of a preprocess step that would be right; later ones win."""
    small = (
        "tasks.source.path=birds",
        "tasks.source.size=8",
        "tasks.source.split=[0.5, 0.25, 0.25]",
        "tasks.distribution.ways=2",
        "tasks.stored={validation: 2, gate: 2, test: 2, test_shots: [1], test_queries: 1}",
    )
    step = ["--experiment", "pictures-5way-1shot", "--params", str(ROOT / "params.yaml"), "--output", "out"]
    return [*step, *(part for text in small for part in ("--set", text)), *others]


def test_the_right_input_is_taken(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the refusals above would say nothing."""
    monkeypatch.setattr("sys.argv", ["command", *options()])
    preprocess()
    assert (place / "out" / "manifest.json").exists()


def test_the_page_lists_them_all() -> None:
    """At least sixty, each with what its line says."""
    assert len(ALL) >= 60
    page = (ROOT / "docs" / "data.md").read_text()
    missing = [row for row in map(row_of, ALL) if row not in page]
    assert missing == [], os.linesep.join(missing)


def row_of(what: str) -> str:
    words = ALL[what][1].replace("|", "\\|").replace("<", "&lt;")
    return f"| {what} | {words} |"
