"""Files that are no parameters, and names and sections in them that could not be: one line each."""

from pathlib import Path

import pytest
import yaml

from metasgd.errors import InputError
from tests.components.kinds.loading import PARAMS, load, refused


@pytest.mark.parametrize(
    "content",
    [
        b"", b"- a\n", b"run: {}\n", b"a: [1\n", b"defaults: 5\n", b"defaults: {}\na: ${x\n", b"\x00",
        "defaults: {}\n# caf\xe9".encode("latin-1"),
    ],
)  # fmt: skip
def test_files_that_are_no_parameters(tmp_path: Path, content: bytes) -> None:
    """Another file, one in another encoding, or none at all, is refused in one line that names it."""
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    assert str(path) in refused(params=path)
    path.unlink()
    assert "no such file" in refused(params=path)


NINES = ", ".join("*" * 9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defaults: &a {b: *a}\n", "expected no alias within what it names"),
        ("defaults: &a [[[*a]]]\n", "expected no alias within what it names"),
        (
            "".join(
                f"{name}: &{name} [{NINES.replace('*', '1' if name == 'a' else f'*{before}')}]\n"
                for before, name in zip(" abcdefgh", "abcdefghi", strict=True)
            ),
            "expected 100,000 values at most",
        ),
        ("defaults: " + "[" * 5000 + "]" * 5000, "not readable as YAML"),
    ],
    ids=["recursive", "deeper", "bomb", "deep"],
)
def test_documents_without_an_end(tmp_path: Path, text: str, words: str) -> None:
    """Aliases are counted before they are written out: a bomb of 300 bytes would take gigabytes."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert words in refused(params=path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "train.iterations=100000000000000000000",
            "train.iterations is 100000000000000000000; expected 1,000",
        ),
        ("network.hidden=[40, 10000000000]", "network.hidden is 10000000000; expected 1,000,000,000 at most"),
        ("tasks.seed=9223372036854775808", "tasks.seed is 9223372036854775808; expected a seed from 0"),
        ("algorithms.maml.start=[1]", "algorithms.maml.start.1: Field required"),
        ("train=&a [*a]", "expected no alias within what it names"),
    ],
)
def test_numbers_that_no_run_could_bear(override: str, words: str) -> None:
    assert words in refused(override)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_no_generator_takes(seed: int) -> None:
    with pytest.raises(InputError, match=f"SEEDS is {seed}; expected a seed from 0 to"):
        load().training("maml", seed)
    load().training("maml", 2**63 - 1)


WRONG_NAMES = [
    "my/exp",
    "it's",
    "a:b",
    "a b",
    ".hidden",
    "-flag",
    "ends.",
    "x" * 64,
    "\u4f60\u597d",
    "n\u00e9e",
    "a\nb",
]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_names_that_no_model_could_have(tmp_path: Path, name: str) -> None:
    """Of experiments and of algorithms: folders, runs, labels and models bear them."""
    document = yaml.safe_load(PARAMS.read_text())
    document[name] = document["sinusoid-5shot"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(document))
    message = refused(name=name, params=path)
    assert "experiment " in message
    assert "cannot be a folder's and a model's name; expected up to 63 letters" in message
    learner = document["defaults"]["sinusoid"]["algorithms"]["maml"]
    document["sinusoid-5shot"] = {**document["sinusoid-5shot"], "algorithms": {name: learner}}
    path.write_text(yaml.safe_dump(document))
    assert "sinusoid-5shot: algorithm " in refused(name="sinusoid-5shot", params=path)


def test_an_experiment_of_an_unknown_kind(tmp_path: Path) -> None:
    """The line lists the kinds that have defaults."""
    path = tmp_path / "params.yaml"
    path.write_text("defaults: {sinusoid: {}}\nmine: {kind: sounds}\n")
    assert "mine.kind is 'sounds'; expected one of sinusoid" in refused(name="mine", params=path)


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {sinusoid: {}}\nmine: 5\n",
        "defaults: {sinusoid: {}}\nmine: [1]\n",
        "defaults: {sinusoid: {}}\nmine:\n",
        "defaults: {sinusoid: 5}\nmine: {kind: sinusoid}\n",
        "defaults: {sinusoid: {}}\nmine: {kind: [sinusoid]}\n",
        "defaults: {sinusoid: {tasks: {}}}\nmine: {kind: sinusoid, tasks: 3}\n",
    ],
)
def test_sections_that_are_no_sections(tmp_path: Path, text: str) -> None:
    """A value where a mapping is expected: one line that names the section."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    message = refused(name="mine", params=path)
    assert "mine" in message or "defaults.sinusoid" in message
