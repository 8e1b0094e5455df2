"""params.yaml as nested sections, and the overrides of command lines merged over them.

An override is key=value with the keys of params.yaml: "train.rate=0.1" is for every experiment that is asked
for, "sinusoid-5shot.train.rate=0.1" for one, "kubeflow.caching=false" for a section that is no experiment.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from components.config.bounds import require_small
from components.config.parsing import from_document
from components.console.messages import in_one_line
from metasgd.errors import InputError

PARAMS_FILE = Path("params.yaml")
DEFAULTS, SECTIONS = "defaults", ("run", "kubeflow")  # what is no experiment
OPEN = (".algorithms", ".layers", ".node_selector")  # sections that may gain names
UNREADABLE = (
    yaml.YAMLError,
    OmegaConfBaseException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    RecursionError,
)
Section = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """A file of parameters. sections: by their names at the top of the file."""

    path: Path
    sections: Mapping[str, Any]

    @property
    def experiments(self) -> list[str]:
        return [name for name in self.sections if name not in (DEFAULTS, *SECTIONS)]

    def section(self, name: str) -> Section:
        """Raises InputError for one that is no mapping; a missing one is empty."""
        found = self.sections.get(name, {})
        if not isinstance(found, Mapping):
            raise InputError(f"{self.path}: {name} is {found!r}; expected a section")
        return dict(found)


def read(path: Path = PARAMS_FILE) -> Document:
    """Raises InputError for a file that is missing, not YAML in UTF-8, or holds no parameters."""
    try:
        require_small(path.read_text(encoding="utf-8"))
        found = OmegaConf.to_container(OmegaConf.load(path))
        json.dumps(found)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the experiments' parameters") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: not readable as YAML in UTF-8: {in_one_line(error)}") from None
    if not isinstance(found, dict) or not isinstance(found.get(DEFAULTS), dict):
        raise InputError(f"{path}: expected a mapping with the keys run, defaults and experiments")
    return Document(path, {str(key): value for key, value in found.items()})


@dataclass(frozen=True)
class Override:
    """text: as it was given. to: the experiment or section that it is for; None for every experiment.

    changes: its keys below that, nested.
    """

    text: str
    to: str | None
    changes: Section

    def applied(self, section: Section) -> Section:
        return merge(section, self.changes, f"SET {self.text!r}")


def parse_override(text: str, document: Document) -> Override:
    """Raises InputError for what is not key=value, no YAML, or for nobody."""
    key, equals, _ = text.partition("=")
    if not equals or not key:
        raise InputError(f"SET {text!r}: expected key=value, as in train.iterations=2000")
    try:
        require_small(text.partition("=")[2])
        nested = OmegaConf.to_container(OmegaConf.from_dotlist([text]))
        json.dumps(nested)  # YAML has values that no parameter can have, as bytes
    except UNREADABLE as error:
        raise InputError(f"SET {text!r}: not readable as key=YAML: {in_one_line(error)}") from None
    changes = {str(name): value for name, value in nested.items()} if isinstance(nested, dict) else {}
    first = key.split(".")[0]
    if first == DEFAULTS:
        raise InputError(f"SET {text!r}: is for no experiment; expected a key without {DEFAULTS}.<kind>")
    if first not in (*document.experiments, *SECTIONS):
        return Override(text, None, changes)
    if not isinstance(changes.get(first), Mapping):
        raise InputError(f"SET {text!r}: expected a key below {first}, as in {first}.train.rate=1")
    return Override(text, first, dict(changes[first]))


def nested(overrides: Iterable[str]) -> Section:
    """Overrides as the sections that they change."""
    found = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def load_section(kind: type[T], name: str, overrides: Iterable[str], path: Path = PARAMS_FILE) -> T:
    """A section that is no experiment, with the overrides for it ("kubeflow.gpu.count=0")."""
    document = read(path)
    section = document.section(name)
    for override in (parse_override(text, document) for text in overrides):
        if override.to == name:
            section = override.applied(section)
    return from_document(kind, section, f"{path}: {name}")


def merge(base: Mapping[str, Any], changes: Any, where: str) -> Section:
    """`changes` over `base`, section by section; a section of another kind takes the place of its base.

    Only sections whose keys are names of the user's own may gain some.
    """
    if not isinstance(changes, Mapping):
        raise InputError(f"{where}: is {changes!r}; expected a section with the keys {', '.join(base)}")
    if "kind" in base and changes.get("kind", base["kind"]) != base["kind"]:
        return dict(changes)
    merged = dict(base)
    for key, value in changes.items():
        if key not in base and not where.endswith(OPEN):
            raise InputError(f"{where}: key {key!r} is unknown; expected one of {', '.join(base)}")
        section = base.get(key)
        merged[key] = merge(section, value, f"{where}.{key}") if isinstance(section, Mapping) else value
    return merged
