"""Which process something belongs to, and whether that one is still at work."""

import os
import socket
from pathlib import Path

UNSEEN = "unseen"  # a table of processes that this system does not show


def this_process() -> str:
    """Machine and number."""
    return f"{_machine()} {os.getpid()}"


def is_dead(process: str) -> bool:
    """Of this machine, and at an end; False for what cannot be known from here."""
    machine, _, number = process.partition(" ")
    if machine != _machine() or machine.endswith(UNSEEN) or not number.isdecimal():
        return False
    return not Path("/proc", number).exists()


def is_of_this_machine(process: str) -> bool:
    machine = process.partition(" ")[0]
    return machine == _machine() and not machine.endswith(UNSEEN)


def _machine() -> str:
    """This host and its table of processes: containers on one host may share its name."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        processes = UNSEEN
    return f"{socket.gethostname()}/{processes}"
