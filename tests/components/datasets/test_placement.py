"""`make data`: a data set is put in place whole and verified, or not at all."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.console.command import run_command
from components.datasets import omniglot, placement
from components.datasets.__main__ import main
from components.datasets.omniglot import ARCHIVES, omniglot_files, vinyals_split
from metasgd.errors import InputError
from tests.components.datasets.helpers import png, write_files, write_zip

REPOSITORY = Path(__file__).parents[3]
BIRDS = {f"{name}/{index}.png": png(20 * index + 5) for name in "abcd" for index in range(2)}


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _dvc(folder: Path, *arguments: str) -> None:
    _run(folder, sys.executable, "-m", "dvc", *arguments)


def _repository(folder: Path) -> Path:
    """An empty repository, versioned by git and DVC."""
    folder.mkdir(parents=True)
    _run(folder, "git", "init", "-q")
    _dvc(folder, "init", "-q")
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def _few_drawings() -> Iterator[None]:
    """Two drawings of each character: all names, in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omniglot, "DRAWINGS", 2)
        yield


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives with Omniglot's names, in no order, of one small picture over and over."""
    folder = tmp_path_factory.mktemp("mirror")
    characters = [name for names in vinyals_split().values() for name in names]
    first = ARCHIVES["images_background"]  # which characters these are does not matter here
    parts = dict(zip(ARCHIVES, (characters[:first], characters[first:]), strict=True))
    for archive, members in parts.items():
        names = [
            f"{archive}/{name}/{i:02}.png"
            for name in sorted(members, reverse=True)
            for i in range(omniglot.DRAWINGS)
        ]
        write_zip(folder / "omniglot" / f"{archive}.zip", dict.fromkeys(names, png(255, 2, 2)))
    return folder


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Path:
    """A repository whose data.dvc pins data/, pushed to a remote folder."""
    root = _repository(tmp_path_factory.mktemp("pinned") / "repository")
    placement.make_data_set("omniglot", mirror, root)
    _dvc(root, "remote", "add", "-q", "-d", "shared", "../remote")
    _dvc(root, "push", "-q")
    return root


def _clone(pinned: Path, folder: Path) -> Path:
    """What git would clone: the pins and the settings, without data and cache."""
    ignored = shutil.ignore_patterns("data", "cache", "tmp")
    return Path(shutil.copytree(pinned, folder / "repository", ignore=ignored))


def test_a_clone_pulls_from_the_remote(pinned: Path, tmp_path: Path) -> None:
    """With a remote, no source is needed, and the bytes are those that were pushed."""
    clone = _clone(pinned, tmp_path)
    shutil.copytree(pinned.parent / "remote", tmp_path / "remote")
    assert "byte-identical" in placement.make_data_set("omniglot", None, clone)
    assert _contents(clone / "data") == _contents(pinned / "data")


def test_a_clone_rebuilds_the_same_bytes_from_a_mirror(
    pinned: Path,
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another order and other dates in the mirror's archives do not matter."""
    monkeypatch.chdir(_clone(pinned, tmp_path))
    main(["omniglot", "--source", str(mirror / "omniglot")])
    assert capsys.readouterr().out == "data/omniglot is byte-identical to what data.dvc pins\n"
    assert _contents(Path("data")) == _contents(pinned / "data")


def test_other_pictures_are_not_put_in_place(
    pinned: Path,
    mirror: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Right counts but other bytes: exit code 2, one line, and what was there stays."""
    for archive in ARCHIVES:
        files = {name: png(9, 2, 2) for name, _ in omniglot_files(mirror / "omniglot") if archive in name}
        write_zip(tmp_path / "other" / f"{archive}.zip", files)
    monkeypatch.chdir(_clone(pinned, tmp_path))
    write_files(Path("data/omniglot"), {"images_background.zip": b"before"})
    with pytest.raises(SystemExit) as stopped:
        run_command(lambda: main(["--source", str(tmp_path / "other")]))
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: data/ would differ from what data.dvc pins")
    assert printed.count("\n") == 1
    assert _contents(Path("data")) == {"omniglot/images_background.zip": b"before"}
    assert not list(Path.cwd().glob(".data-*"))


def test_a_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the message says what else would do."""

    def refuse(url: str, root: Path, md5: str) -> None:
        assert len(md5) == 32  # the published hash is asked for
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(placement, "download_url", refuse)
    with pytest.raises(InputError, match=r"images_background\.zip cannot be downloaded .*expected a network"):
        placement.make_data_set("omniglot", None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_counts_leave_nothing(tmp_path: Path) -> None:
    """An incomplete mirror is refused before anything is written."""
    for archive in ARCHIVES:
        write_zip(tmp_path / "mirror" / f"{archive}.zip", {f"{archive}/Greek/character01/1.png": png(0)})
    (tmp_path / "repository").mkdir()
    with pytest.raises(InputError, match=r"has 1 characters; expected 964"):
        placement.make_data_set("omniglot", tmp_path / "mirror", tmp_path / "repository")
    assert list((tmp_path / "repository").iterdir()) == []


def test_a_folder_of_ones_own_gets_its_own_pin(tmp_path: Path) -> None:
    """datasets/<name>/<name>.zip and datasets/<name>.dvc, whichever way the pictures came."""
    root = _repository(tmp_path / "repository")
    folder = write_files(tmp_path / "birds", BIRDS | {"README.txt": b"notes", "a/.DS_Store": b"?"})
    line = placement.make_data_set("birds", folder, root)
    assert line == "datasets/birds/birds.zip holds 8 pictures of 4 classes, pinned by datasets/birds.dvc"
    written = (root / "datasets" / "birds" / "birds.zip").read_bytes()
    pin = (root / "datasets" / "birds.dvc").read_text()
    placement.make_data_set("birds", write_zip(tmp_path / "b.zip", dict(reversed(BIRDS.items()))), root)
    assert (root / "datasets" / "birds" / "birds.zip").read_bytes() == written
    assert (root / "datasets" / "birds.dvc").read_text() == pin
    # Its archive has no hidden folders any more, so nobody could say it later.
    write_files(folder, {".old/a/0.png": png(1)})
    assert placement.make_data_set("birds", folder, root) == f"{line}; hidden folders are left out: .old"
    assert (root / "datasets" / "birds" / "birds.zip").read_bytes() == written


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ({}, "`git init` and `dvc init`, or by `dvc init --no-scm` to do without git"),
        ({".dvc/config": b""}, "or by `dvc config --local core.no_scm true` to do without git"),
    ],
)
def test_without_git_the_line_says_what_helps(tmp_path: Path, files: dict[str, bytes], advice: str) -> None:
    """An empty folder, and the project's files without their git; the advice works."""
    root = write_files(tmp_path / "root", files | {"README.md": b""})
    folder = write_files(tmp_path / "birds", BIRDS)
    with pytest.raises(InputError) as caught:
        placement.make_data_set("birds", folder, root)
    assert str(caught.value).endswith(advice)
    assert not (root / "datasets" / "birds").exists()
    command = str(caught.value).rpartition(" `")[2].partition("`")[0]
    subprocess.run([sys.executable, "-m", *command.split()], cwd=root, check=True)
    assert "pinned by" in placement.make_data_set("birds", folder, root)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("../birds", "birds", "'../birds' cannot be a folder's and a model's name; expected up to"),
        ("a/b", "birds", "'a/b' cannot be a folder's and"),
        ("..", "birds", "'..' cannot be a folder's and"),
        ("birds", None, r"'birds' has no download; expected --source"),
        ("glyphs", None, "'glyphs' is generated"),
        ("birds", "nowhere", "nowhere is missing; expected a folder of class folders"),
        ("miniimagenet", "birds", "lacks the folders train and test"),
        ("birds", "one", r"one holds one class, 'a'; expected 2 class folders or more"),
        ("birds", "broken", r"broken/a/0\.png \(30 bytes\) cannot be decoded"),
    ],
)
def test_bad_requests_leave_nothing(tmp_path: Path, name: str, source: str | None, message: str) -> None:
    """Every refusal says what was expected, and writes nothing."""
    write_files(tmp_path / "birds", BIRDS)
    write_files(tmp_path / "one", {"a/0.png": png(1)})
    write_files(tmp_path / "broken", BIRDS | {"a/0.png": png(1)[:30]})
    root = tmp_path / "repository"
    root.mkdir()
    with pytest.raises(InputError, match=message):
        placement.make_data_set(name, tmp_path / source if source else None, root)
    assert [path for path in root.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "datasets").exists()


@pytest.mark.parametrize(
    ("name", "source", "there", "message"),
    [
        (
            "own",
            "datasets/own",
            "datasets/own",
            "datasets/own: is the place of data set 'own'; expected your own",
        ),
        ("own", "datasets/own/birds", "datasets/own/birds", "is the place of data set 'own'"),
        ("omniglot", "data", "data/omniglot", "is the place of data set 'omniglot'"),
        (
            "own",
            "birds",
            "datasets/own",
            r"datasets/own: holds a/0\.png and 8 more, not written by `make data`",
        ),
        ("omniglot", "birds", "data/omniglot", r"data/omniglot: holds a/0\.png and 8 more, not written by"),
    ],
)
def test_what_others_put_into_the_place_stays(
    tmp_path: Path, name: str, source: str, there: str, message: str
) -> None:
    """Pictures and notes in the data set's place are neither read from there nor replaced."""
    write_files(tmp_path / there, BIRDS | {"labels.csv": b"mine"})
    write_files(tmp_path / "birds", BIRDS)
    before = _contents(tmp_path)
    with pytest.raises(InputError, match=message):
        placement.make_data_set(name, tmp_path / source, tmp_path)
    assert _contents(tmp_path) == before


def test_help_needs_no_torch() -> None:
    """--help answers at once: it imports nothing heavy."""
    code = (
        "import sys\nfrom components.datasets.__main__ import main\n"
        "try:\n    main(['--help'])\nfinally:\n    assert 'torch' not in sys.modules"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "--source PATH" in shown.stdout
