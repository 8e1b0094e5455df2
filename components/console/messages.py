"""What messages may say: errors of libraries in one line, and addresses without credentials."""

from urllib.parse import urlsplit

LENGTH = 300  # characters of a library's message, at most


def in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:LENGTH]


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user, password, parameters and fragment."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
