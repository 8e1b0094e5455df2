"""Experiments of params.yaml with the overrides of a command line merged over them, still as plain sections.

Names and keys are checked here, with nothing imported that takes long, so that a misspelt one is refused at
once. What values may be, the settings say (components.kinds.experiment).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from components.config.bounds import require_bounded
from components.config.document import (
    DEFAULTS,
    PARAMS_FILE,
    SECTIONS,
    Document,
    Override,
    Section,
    merge,
    parse_override,
    read,
)
from components.config.names import require_name
from metasgd.errors import InputError


def resolved(
    names: Sequence[str], overrides: Iterable[str], path: Path = PARAMS_FILE, others: Sequence[str] = ()
) -> dict[str, Section]:
    """By name: the defaults of its kind, with the experiment's own keys and then the overrides over them.

    others: the sections whose overrides the caller reads himself.
    Raises InputError for experiments and keys that are unknown, and for an override that none of these
    experiments takes.
    """
    return _resolved(read(path), names, overrides, others)


def variants(
    document: Document, name: str, overrides: Sequence[str], points: Iterable[Sequence[str]]
) -> list[Section]:
    """One experiment as `resolved`, once for every point: further overrides over those that all share."""
    return [_resolved(document, [name], [*overrides, *point], SECTIONS)[name] for point in points]


def _resolved(
    document: Document, names: Sequence[str], overrides: Iterable[str], others: Sequence[str]
) -> dict[str, Section]:
    path = document.path
    for name in names:
        if name not in document.experiments:
            known = ", ".join(document.experiments)
            raise InputError(f"{path}: experiment {name!r} is unknown; expected one of {known}")
    parsed = [parse_override(text, document) for text in overrides]
    for override in parsed:
        if override.to not in (None, *names, *others):
            raise InputError(
                f"SET {override.text!r}: {override.to} is not run; expected a key of {', '.join(names)}"
            )
    return {
        name: _merged(document, name, [one for one in parsed if one.to in (None, name)]) for name in names
    }


def require_known(names: Sequence[str], overrides: Iterable[str], path: Path = PARAMS_FILE) -> list[str]:
    """The experiments that are asked for, or else those of `run`: their names and all keys are known.

    Raises InputError.
    """
    given, document = list(overrides), read(path)
    sections = {name: document.section(name) for name in SECTIONS}
    for override in (parse_override(text, document) for text in given):
        if override.to in sections:
            sections[override.to] = override.applied(sections[override.to])
    chosen = list(names) or sections["run"].get("experiments")
    if isinstance(chosen, list):  # else the settings say what was expected
        resolved(chosen, given, path, others=SECTIONS)
        return chosen
    return []


def _merged(document: Document, name: str, overrides: Sequence[Override]) -> Section:
    where = f"{document.path}: {name}"
    require_name(name, f"{document.path}: experiment")
    own, defaults = document.section(name), document.section(DEFAULTS)
    kind = own.get("kind")
    if not isinstance(kind, str) or kind not in defaults:
        raise InputError(f"{where}.kind is {kind!r}; expected one of {', '.join(defaults)}")
    if not isinstance(defaults[kind], dict):
        raise InputError(f"{document.path}: defaults.{kind} is {defaults[kind]!r}; expected a section")
    merged = merge({"kind": kind, **defaults[kind]}, own, where)
    for override in overrides:
        if (other := override.changes.get("kind", kind)) != kind:
            raise InputError(f"SET {override.text!r}: kind is {other!r}; expected {kind!r}, which {name} has")
        merged = override.applied(merged)
    require_bounded(merged, where)
    return merged
