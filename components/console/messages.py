"""What messages may say: errors of libraries in one line, addresses without credentials, times in words."""

import re

LENGTH = 300  # characters of a library's message, at most
CREDENTIALS = re.compile(r"(?<=://)[^\s/]*@")


def in_one_line(error: BaseException) -> str:
    """The message of a library, without the credentials of the addresses in it."""
    return CREDENTIALS.sub("", " ".join(str(error).split()))[:LENGTH]


def without_credentials(address: str) -> str:
    """An address as it may be shown: without user, password, parameters and fragment."""
    return re.split("[?#]", CREDENTIALS.sub("", address), maxsplit=1)[0]


def duration(seconds: float) -> str:
    """ "48 s", "3 min 12 s", "2 h 05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
