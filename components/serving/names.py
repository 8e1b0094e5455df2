"""Names as they are shown: those of files may hold anything but a slash."""

import unicodedata

from components.datasets.archives import CONTROL


def legible(text: str) -> str:
    """On one line, in characters that every file and terminal can take; what is none is shown as �."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in CONTROL else c for c in text)
