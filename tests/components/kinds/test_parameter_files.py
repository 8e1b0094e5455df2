"""Files that are no parameters, and names and sections in them that could not be: one line each."""

from pathlib import Path

import pytest
import yaml

from tests.components.kinds.loading import PARAMS, refused


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
