"""Step 4: register every trained model; the alias `champion` moves only on a win."""
