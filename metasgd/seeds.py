"""Random streams: one generator per purpose, so that drawing more of one never shifts another."""

import hashlib

import torch


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator for `purpose` ("theta", "tasks", ...), decided by `seed` alone."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
