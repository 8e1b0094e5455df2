"""The documents as Markdown: links, anchors, code and prose, by CommonMark's rules."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from components.config.code import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
MARKDOWN = MarkdownIt("commonmark").enable("table")
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def tokens(page: Path) -> Iterator[Token]:
    """Blocks, and what stands in them."""
    for block in MARKDOWN.parse(page.read_text()):
        yield block
        yield from block.children or ()


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them: lower case, punctuation left out, spaces as hyphens."""
    blocks = MARKDOWN.parse(page.read_text())
    titles = [after.content for one, after in pairwise(blocks) if one.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """Targets of links and pictures."""
    found = (token.attrGet("href") or token.attrGet("src") for token in tokens(page))
    return [str(target) for target in found if target]


def code_blocks(page: Path, language: str) -> list[str]:
    """Fenced code of a language."""
    fences = (token for token in tokens(page) if token.type == "fence")
    return [token.content for token in fences if token.info == language]


def code_spans(page: Path) -> list[str]:
    return [token.content for token in tokens(page) if token.type == "code_inline"]
