"""Step 2: episodes in, a meta-learned (theta, alpha) out."""
