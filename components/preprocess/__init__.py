"""Step 1: data or a task distribution in, episodes out."""
