"""Step 3 in control: checkpoints and stored tasks in, returns before and after adaptation out."""
