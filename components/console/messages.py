"""What messages may say: errors of libraries in one line, and addresses without credentials."""

import re

LENGTH = 300  # characters of a library's message, at most
CREDENTIALS = re.compile(r"(?<=://)[^\s/]*@")


def in_one_line(error: BaseException) -> str:
    """The message of a library, without the credentials of the addresses in it."""
    return CREDENTIALS.sub("", " ".join(str(error).split()))[:LENGTH]


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user, password, parameters and fragment."""
    return re.split("[?#]", CREDENTIALS.sub("", address), maxsplit=1)[0]
