"""
Show the runs of `make demo` in Airflow's UI, on loopback, until Ctrl-C. `make demo-ui` calls this.

    python -m scripts.demo_ui [--port PORT]

``DEMO_FOLDER`` names the folder of the demo if it is another than ``.demo``. Nobody has to log in. The DAGs
can be looked at; nothing runs, since no scheduler is started.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
DEMO = Path(os.environ.get("DEMO_FOLDER") or ROOT / ".demo").absolute()
HOME = DEMO / "airflow"

_STARTS_WITHIN = 180
_ENDS_WITHIN = 15


def main() -> None:
    """Serve until a signal, and end what was started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--port", type=int, default=8080, help="if it is in use, a free one is taken")
    options = parser.parse_args()
    if not (HOME / "airflow.db").exists():
        sys.exit(f"There is no Airflow in {HOME}: run `make demo` first")
    # A kill ends like Ctrl-C. What a shell starts in its background ignores Ctrl-C otherwise.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    port = free_port(options.port)
    url = f"http://127.0.0.1:{port}"
    log = HOME / "demo-ui.log"
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        # In a process group of its own: all of it is ended, and nothing else.
        server = subprocess.Popen(
            [*command, "--workers", "1"],
            env=environment(url),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        print(f"Starting Airflow's UI; its log is {log}", flush=True)
        wait_for(f"{url}/api/v2/version", server)
        print(f"The status page: {url}/plugin/alvys\nAll of Airflow:  {url}/\nCtrl-C ends it.", flush=True)
        server.wait()
        sys.exit(f"Airflow's API server has ended: see {log}")
    except KeyboardInterrupt:
        print("Ended.", flush=True)
    finally:
        end(server)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def environment(url: str) -> dict[str, str]:
    """Return the environment of an API server whose users need no login."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **inherited,
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    }


def free_port(wanted: int) -> int:
    """Return a port of loopback that is free: the wanted one, or any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No port of 127.0.0.1 is free")


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _STARTS_WITHIN
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    sys.exit(f"Airflow's API server does not answer at {url}")


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            return
        try:
            server.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    main()
