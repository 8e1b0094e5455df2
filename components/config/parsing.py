"""Settings as JSON: what runners hand to steps, and what files hold. Mistakes are one line with the key."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pydantic
from pydantic import TypeAdapter

from metasgd.errors import InputError

STRICT = pydantic.ConfigDict(extra="forbid", strict=True)
T = TypeVar("T")


def to_json(settings: Any, indent: int | None = None) -> str:
    """The settings as one JSON string."""
    return TypeAdapter(type(settings)).dump_json(settings, indent=indent).decode()


def to_document(settings: Any) -> Any:
    """The settings as JSON's own objects and lists."""
    return json.loads(to_json(settings))


def from_json(kind: type[T], text: str | bytes, where: str = "parameters") -> T:
    """Rebuild settings from `to_json`. Raises InputError naming the key that is wrong."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {_first_problem(error, text)}") from None


def from_document(kind: type[T], document: Any, where: str = "parameters") -> T:
    """The same from JSON's own objects and lists."""
    return from_json(kind, json.dumps(document), where)


def _first_problem(error: pydantic.ValidationError, text: str | bytes) -> str:
    problem = error.errors()[0]
    key = "" if problem["type"] == "json_invalid" else ".".join(_keys(problem["loc"], text))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "union_tag_not_found":
        missing = problem["ctx"]["discriminator"].strip("'")
        key, message = f"{key}.{missing}", "Field required"
    value = problem["input"]
    shown = "" if isinstance(value, Mapping | bytes) else f" (found {value!r})"
    return f"{key or 'document'}: {message}{shown}"


def _keys(location: Sequence[int | str], text: str | bytes) -> Iterator[str]:
    """The keys that a user wrote, and a last one that is missing; a union puts its tag in between."""
    node = json.loads(text)
    for place, part in enumerate(location):
        if part in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
            node = node[part]
        elif place < len(location) - 1 or (isinstance(node, dict) and part in node.values()):
            continue
        yield str(part)
