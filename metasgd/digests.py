"""SHA-256 digests of tensors."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Over names, shapes, types and contents, whatever the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
