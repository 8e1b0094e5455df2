"""The steps of the pipeline: one folder each, with its function, its command and its KFP component."""

import os

# Before any step imports MLflow: no telemetry, no pickled models, no bars and chatter in the logs, and
# seconds of patience with a server that fails, where MLflow would take minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
