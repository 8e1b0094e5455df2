"""What a module imports, by its text: the import closure within this project."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("metasgd", "components", "pipelines")


def modules(package: str) -> list[str]:
    found = sorted((ROOT / package).rglob("*.py"))
    return [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in found
    ]


def file_of(module: str) -> Path | None:
    """The module's file; None for names that are no module of this project."""
    place = ROOT.joinpath(*module.split("."))
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py")
    return place / "__init__.py" if (place / "__init__.py").is_file() else None


@cache
def imports(module: str, lazy: bool) -> frozenset[str]:
    """The project's modules that a module imports, with the packages they stand in.

    lazy: also inside functions. Imports for type checkers alone never count.
    """
    file = file_of(module)
    assert file is not None, module
    return frozenset(_named(ast.parse(file.read_text()).body, lazy))


def _named(body: list[ast.stmt], lazy: bool) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in _with_packages(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from _with_packages(node.module)
            yield from (f"{node.module}.{a.name}" for a in node.names if file_of(f"{node.module}.{a.name}"))
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [child for child in ast.walk(node) if child is not node and isinstance(child, ast.stmt)]
            if not lazy:
                inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            yield from _named(inner, lazy)


def _with_packages(name: str) -> Iterator[str]:
    """a.b.c -> a, a.b, a.b.c, where they are modules of this project."""
    parts = name.split(".")
    if parts[0] in PACKAGES:
        names = [".".join(parts[: length + 1]) for length in range(len(parts))]
        yield from (one for one in names if file_of(one))


def closure(module: str, lazy: bool) -> set[str]:
    """All modules of this project that are imported with this one."""
    seen, left = set(), {module}
    while left:
        one = left.pop()
        seen.add(one)
        left |= imports(one, lazy) - seen
    return seen
