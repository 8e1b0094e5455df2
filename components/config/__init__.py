"""params.yaml, read and checked, and the environment in which a step runs."""
