"""The errors a user can mend. Each message is one line: where, what, and what was expected."""


class InputError(ValueError):
    """Bad input: a file, a parameter or a service. Commands print it and exit with code 2."""


class DivergedError(InputError):
    """The meta-loss stopped being a finite number; the last good checkpoint is kept."""


class CheckpointError(InputError):
    """A checkpoint that is damaged, or belongs to another architecture."""
