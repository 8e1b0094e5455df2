"""Runs on Kubeflow Pipelines: check, submit, follow, schedule."""
