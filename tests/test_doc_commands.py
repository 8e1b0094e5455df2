"""Commands and code of the documents: what can run in a moment is run, the rest would start what it names.

docs/extending.md is run whole, by tests/test_extending.py.
"""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from components.config.code import ROOT
from tests.imports import PACKAGES, closure, file_of
from tests.pages import NAMES, code_blocks, code_spans

MAKE = ["make", "--no-print-directory", "-n", *(f"-o{goal}" for goal in ("setup", "setup-dev", "image"))]
RUNS = {"docs/navigation.md"}  # whose Python runs in a moment


def commands(name: str) -> Iterator[list[str]]:
    """Shell commands of a page, as words: of its blocks, and of code within sentences."""
    page = ROOT / name
    blocks = "\n".join(code_blocks(page, "bash")).replace("\\\n", " ")
    spans = [text for text in code_spans(page) if re.match(r"(make|python -m|dvc) ", text)]
    for line in [
        *re.sub(r"<<'(\w+)'.*?^\1$", "", blocks, flags=re.DOTALL | re.MULTILINE).splitlines(),
        *spans,
    ]:
        words = shlex.split(line, comments=True)
        if words:
            yield words


def unique(first: str) -> list[tuple[str, ...]]:
    found = {tuple(words) for name in NAMES for words in commands(name) if words[0] == first}
    return sorted(found)


def dry_run(*words: str) -> str:
    done = subprocess.run([*MAKE, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("words", unique("make"), ids=" ".join)
def test_make_has_the_target_and_hears_every_variable(words: tuple[str, ...]) -> None:
    """Another value of a variable makes another command."""
    given = [word for word in words[1:] if re.match(r"[A-Z_]+=", word)]
    goals = [word for word in words[1:] if word not in given and not word.startswith("…")]
    assert goals or given
    for variable in given:
        name = variable.partition("=")[0]
        if name == "PYTHON":  # of the environment itself
            continue
        others = [word for word in given if word != variable]
        assert dry_run(*goals, *others, f"{name}=7") != dry_run(*goals, *others), variable
    if not given:
        dry_run(*goals)


OURS = (*PACKAGES, "benchmarks")
MODULES = [words for words in unique("python") if words[1] == "-m" and words[2].split(".")[0] in OURS]


@pytest.mark.parametrize("words", MODULES, ids=" ".join)
def test_python_has_the_module_and_its_options(words: tuple[str, ...]) -> None:
    module = words[2]
    started = f"{module}.__main__" if file_of(f"{module}.__main__") else module
    files = {file_of(one) for one in closure(started, lazy=True)} | {file_of(started)}
    source = "".join(file.read_text() for file in files if file)
    for option in (word for word in words[3:] if re.match(r"--\w", word)):
        assert f'"{option}"' in source, option


@pytest.mark.parametrize("name", NAMES)
def test_blocks_can_be_read(name: str) -> None:
    """Shell as bash parses it, Python, YAML and JSON."""
    page = ROOT / name
    for text in code_blocks(page, "bash"):
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for text in code_blocks(page, "python"):
        ast.parse(text)
    for text in code_blocks(page, "yaml"):
        assert list(yaml.safe_load_all(text))
    for text in code_blocks(page, "json"):
        json.loads(text)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_python_of_a_page_runs(name: str) -> None:
    text = "\n".join(code_blocks(ROOT / name, "python"))
    command = [sys.executable, "-W", "error", "-c", text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
