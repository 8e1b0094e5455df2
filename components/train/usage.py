"""What a training's process used of the machine, under names for which MLflow's UI has a tab of its own."""

import resource

import torch

KIB, MB = 1024, 1e6  # bytes


def system_use() -> dict[str, float]:
    """Since the process began: asked once, at the end, it costs microseconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    used = {
        "system/cpu_seconds": own.ru_utime + own.ru_stime,
        "system/peak_memory_megabytes": own.ru_maxrss * KIB / MB,
    }
    if torch.cuda.is_available():
        used["system/gpu_peak_memory_megabytes"] = torch.cuda.max_memory_allocated() / MB
    return used
