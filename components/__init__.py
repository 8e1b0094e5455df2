"""The steps of the pipeline: one folder each, with its function, its command and its KFP component."""

import os

# Before any step imports MLflow: no telemetry, no pickled models, no bars and chatter in the logs, and no
# addresses with the passwords in them. Its own patience with a server that fails is minutes, and tells
# nobody; ours is in components.tracking.patience.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Before any imports torch: a thread that waits for another gives its core away soon, where others want it. By
# default it turns in a loop first, which on shared cores costs several times the work (docs/performance.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
