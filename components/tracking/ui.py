"""python -m components.tracking.ui: the MLflow UI of the tracking store, on loopback only."""

import argparse
import os
import subprocess
import sys

from components.console.command import StepFailedError, run_command
from components.console.listening import LOOPBACK, listen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.tracking.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="port on 127.0.0.1")
    options = parser.parse_args()

    from components.config.environment import tracking_uri
    from components.tracking.client import connect
    from components.tracking.pages import pages

    client = connect()
    if tracking_uri().startswith("http"):
        print("MLFLOW_TRACKING_URI names a server, which has a UI of its own")
        return
    listen(LOOPBACK, options.port).close()  # refuses a port that is taken
    found = pages(client, f"http://{LOOPBACK}:{options.port}")
    print("MLflow's UI answers in about half a minute; Ctrl-C ends it.", flush=True)
    for what, address in found.items():
        print(f"  {what}: {address}", flush=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(options.port)]
    # One worker and no job runners: a UI for one person.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.run(
        [*command, "--workers", "1", "--backend-store-uri", tracking_uri()], env=environment, check=False
    )
    if server.returncode:
        raise StepFailedError(f"the MLflow UI ended with exit code {server.returncode}")


if __name__ == "__main__":
    run_command(main)
