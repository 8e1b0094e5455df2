"""The image's reference: equal references mean equal contents."""

import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from metasgd.errors import InputError
from pipelines.image import BASE, digest_of, image_id, push, reference, require_reference
from tests.pipelines.checkout import unavailable


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
    assert reference("registry.example.org/team/", root=tree) == (
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


def test_another_base_is_another_image(tree: Path) -> None:
    """The default base leaves the tag alone; each other one has a tag of its own, in dirty trees, too."""
    plain = reference(root=tree)
    assert reference(base=BASE, root=tree) == plain
    others = {reference(base=base, root=tree) for base in ("metasgd-base:bookworm", "python:3.12-slim")}
    assert len(others) == 2
    assert all(other.startswith(f"{plain}-on-") for other in others)
    (tree / "metasgd" / "loop.py").write_text("changed\n")
    assert "-dirty-" in reference(base="python:3.12-slim", root=tree)
    assert reference(base="python:3.12-slim", root=tree) != reference(root=tree)


def test_a_new_file_makes_a_tree_dirty(tree: Path) -> None:
    """It would be copied into the image, though git does not know it."""
    (tree / "metasgd" / "new.py").write_text("")
    assert "-dirty-" in reference(root=tree)


def test_outside_of_a_checkout_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="expected a checkout, or IMAGE=…"):
        reference(root=tmp_path)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a real registry on loopback."""
    command = shutil.which("docker-registry")
    if command is None:
        unavailable("no docker-registry (Debian's package) here")
    settings = tmp_path / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path)}}
    settings.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": "127.0.0.1:0"}}))
    with subprocess.Popen(
        [str(command), "serve", str(settings)], stderr=subprocess.PIPE, text=True
    ) as process:
        said = (re.search(r"listening on (127[\d.:]+)", line) for line in process.stderr or [])
        yield next(found[1] for found in said if found)
        process.terminate()
        process.communicate()


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env()
    except DockerException:
        unavailable("no container engine answers here")
    yield client
    client.close()


def test_what_was_pushed_has_a_digest(engine: docker.DockerClient, registry: str) -> None:
    """The registry says it; of what was not pushed, nobody knows it."""
    image, other = f"{registry}/team/metasgd-python:0123", f"{registry}/team/metasgd-python:none"
    engine.images.build(fileobj=io.BytesIO(b"FROM scratch\nLABEL of=a-test\n"), tag=image)
    try:
        assert digest_of(image) is None
        push(image)
        digest = engine.images.get_registry_data(image).id
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
        assert digest_of(image) == digest
        assert digest_of(other) is None
    finally:
        engine.images.remove(image, force=True)


def test_a_reference_may_hold_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody is asked; without an engine, nothing else is known."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert digest_of("registry.example.org/x@sha256:0123") == "sha256:0123"
    assert digest_of("registry.example.org/x:0123") is None


@pytest.mark.parametrize(
    "image",
    [
        "metasgd-python",
        "metasgd-python:1.0_a",
        "localhost:5000/team/metasgd-python:1",
        "registry.example.org/a/b__c/d-e@sha256:" + "0" * 64,
        "[2001:db8::1]:5000/team/name:tag",
    ],
)
def test_references(image: str) -> None:
    require_reference(image, "IMAGE")


@pytest.mark.parametrize(
    "image",
    [
        "",
        "Team/Image:1",
        "my image",
        "name:",
        "name:a:b",
        "name@sha256:0",
        "a//b",
        "x:" + "t" * 129,
        "--rm",
        "it's",
    ],
)
def test_what_is_no_reference_is_refused_before_an_engine_is_asked(
    image: str, monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    """As an image, as a base, and as what a registry makes of it."""
    monkeypatch.setattr(docker, "from_env", lambda: pytest.fail("it was asked"))
    with pytest.raises(InputError, match=r"^IMAGE is .*; expected an image's reference"):
        image_id(image)
    with pytest.raises(InputError, match=r"^IMAGE_BASE is "):
        reference(base=image, root=tree)
    with pytest.raises(InputError, match=r"^with REGISTRY, the image is 'https://"):
        reference("https://registry.example.org", root=tree)
