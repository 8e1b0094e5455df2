"""What a document of parameters may ask for at most, whatever its keys mean."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from metasgd.errors import InputError

LARGEST = 10**9  # of whole numbers
SEEDS = 2**63  # below this
NODES = 100_000  # of a YAML document, with every alias written out


def require_bounded(section: Mapping[str, Any], where: str) -> None:
    """Raises InputError for a whole number that no run could bear; seeds may be larger."""
    for key, value in _numbers(section, where):
        if key.endswith(".seed"):
            require_seed(value, key)
        elif abs(value) > LARGEST:
            raise InputError(f"{key} is {value}; expected {LARGEST:,} at most")


def require_seed(seed: int, where: str) -> None:
    if not 0 <= seed < SEEDS:
        raise InputError(f"{where} is {seed}; expected a seed from 0 to 2^63 - 1")


def require_small(text: str) -> None:
    """Raises ValueError for YAML whose aliases would make it endless or huge, before it is built."""
    sizes: dict[int, int] = {}
    root = yaml.compose(text, yaml.SafeLoader)
    if root is not None and _size(root, sizes) > NODES:
        raise ValueError(f"expected {NODES:,} values at most")


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """With every alias written out. sizes: of the nodes that were met; 0 while one is under way."""
    known = sizes.setdefault(id(node), 0)
    if known:
        return known
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    total = 1
    for child in children:
        for part in child if isinstance(child, tuple) else (child,):
            if sizes.get(id(part)) == 0:
                raise ValueError("expected no alias within what it names")
            total += _size(part, sizes)
    sizes[id(node)] = total
    return total


def _numbers(value: Any, where: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{where}.{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _numbers(inner, where)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield where, value
