"""Step 3: checkpoints and episodes in, scores before and after adaptation out."""
