"""In which precision a GPU multiplies matrices of single precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

PRECISIONS = ("float32", "tf32", "bf16")


def set_precision(name: str) -> None:
    """For all of this process. bf16: for what stands outside of `lowered`, float32."""
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"


def lowered(name: str, device: str) -> AbstractContextManager[object]:
    """Within, torch takes bfloat16 for products where that is asked for."""
    return torch.autocast(device, torch.bfloat16) if name == "bf16" else nullcontext()
