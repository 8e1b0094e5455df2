"""The pipeline: a lane of steps per experiment, and the runner that takes it through them."""
