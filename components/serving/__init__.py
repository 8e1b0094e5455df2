"""The registered model, as it answers wherever MLflow loads it."""
