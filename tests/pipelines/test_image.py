"""The image's reference: equal references mean equal contents."""

import subprocess
from pathlib import Path

import pytest

from metasgd.errors import InputError
from pipelines.image import reference


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clean checkout with a file that goes into the image and one that does not."""
    (tmp_path / "metasgd").mkdir()
    (tmp_path / "metasgd" / "loop.py").write_text("1\n")
    (tmp_path / "README.md").write_text("words\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def test_a_clean_tree_is_its_commit(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    assert reference(root=tree) == f"metasgd-python:{commit[:12]}"
    assert reference("registry.example.org/team/", tree) == (
        f"registry.example.org/team/metasgd-python:{commit[:12]}"
    )


def test_a_dirty_tree_says_so_and_which(tree: Path) -> None:
    """Two different changes give two tags; the same change gives one."""
    changed = tree / "metasgd" / "loop.py"
    tags = []
    for text in ("2\n", "3\n", "2\n"):
        changed.write_text(text)
        tags.append(reference(root=tree).rpartition(":")[2])
    assert all("-dirty-" in tag for tag in tags)
    assert tags[0] == tags[2] != tags[1]


def test_a_new_file_makes_a_tree_dirty(tree: Path) -> None:
    """It would be copied into the image, though git does not know it."""
    (tree / "metasgd" / "new.py").write_text("")
    assert "-dirty-" in reference(root=tree)


def test_outside_of_a_checkout_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="expected a checkout, or IMAGE=…"):
        reference(root=tmp_path)
