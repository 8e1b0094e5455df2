"""What the steps hand to each other, typed: episodes, checkpoints, results, decisions."""
