"""What pictures and pages call the moments of an adaptation."""


def after_steps(steps: int) -> str:
    """ "after one step", "after 100 steps"."""
    return "after one step" if steps == 1 else f"after {steps} steps"
