"""What a person sees of a run: steps, bars, and what trainings say besides."""

import io

from rich.console import Console

from components.kinds.experiment import load_experiment
from pipelines.dag import lanes_of
from pipelines.local.display import Display
from pipelines.local.output import taken_line

LANES = lanes_of([load_experiment("sinusoid-5shot")], [1])
LINES = [
    "Executing task 'preprocess'",
    "Executing task 'train'",
    "Executing task 'train'",
    "sinusoid-5shot maml seed 1: continues from iteration 660",
    "sinusoid-5shot maml seed 1: warning: the state cannot be kept (disk [full]); an interruption …",
    "::progress::sinusoid-5shot maml seed 1|700|10000|train_loss 2.0",
    taken_line("evaluate"),
    "something that a library printed",
]


def test_steps_and_notes_are_shown_and_the_rest_is_in_the_log() -> None:
    """A step once, though every training starts it; words in brackets are not taken for markup."""
    output = io.StringIO()
    with Display(Console(file=output, width=120), LANES) as display:
        for line in LINES:
            display.line(line)
    shown = output.getvalue()
    assert shown.count("sinusoid-5shot: train") == 1
    assert "sinusoid-5shot: preprocess" in shown
    assert "continues from iteration 660" in shown
    assert "disk [full]" in shown
    assert "sinusoid-5shot: evaluate: finished by an earlier run" in shown
    assert "a library" not in shown


def test_elsewhere_than_in_a_terminal_progress_is_lines() -> None:
    """Of each training its first and its last, as the time between is short: no bars, no marks."""
    output = io.StringIO()
    with Display(Console(file=output, width=60), LANES) as display:
        for done in (100, 200, 300):
            display.line(f"::progress::sinusoid-5shot maml seed 1|{done}|300|train_loss 2.0  validation 1.5")
    assert output.getvalue().splitlines() == [
        "sinusoid-5shot maml seed 1: 100 of 300, train_loss 2.0  validation 1.5",
        "sinusoid-5shot maml seed 1: 300 of 300, train_loss 2.0  validation 1.5",
    ]


def test_a_name_may_hold_a_bar() -> None:
    """As a point of a sweep whose value is a text with one."""
    output = io.StringIO()
    with Display(Console(file=output, width=60), LANES) as display:
        display.line("::progress::seed 1 network.kind=a|b|300|300|train_loss 2.0")
    assert output.getvalue().splitlines() == ["seed 1 network.kind=a|b: 300 of 300, train_loss 2.0"]
