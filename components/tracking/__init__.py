"""MLflow: runs and their parents, the model registry, the UI."""
