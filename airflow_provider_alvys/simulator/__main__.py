"""``python -m airflow_provider_alvys.simulator``: start a local Alvys."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from typing import Any

import msgspec
import uvicorn

from airflow_provider_alvys.simulator.app.server import SimulatorApp
from airflow_provider_alvys.simulator.options import Options


def main() -> None:
    """Parse the command line and serve until interrupted."""
    arguments = vars(_parser().parse_args())
    host, port = arguments.pop("host"), arguments.pop("port")
    stop_with_stdin = arguments.pop("stop_with_stdin")
    options = msgspec.convert(arguments, Options, strict=False)
    listener = socket.create_server((host, port))
    server = uvicorn.Server(
        uvicorn.Config(SimulatorApp(options), log_level="warning", date_header=False, server_header=False)
    )
    if stop_with_stdin:
        threading.Thread(target=_stop_after_stdin, args=(server,), daemon=True).start()
    address = f"http://{host}:{listener.getsockname()[1]}"
    sys.stdout.write(
        f"{address}\n"
        f"A simulated Alvys with {options.loads} loads. An Airflow connection to it:\n"
        f"  export AIRFLOW_CONN_ALVYS_DEFAULT='{connection_json(address, options)}'\n"
    )
    sys.stdout.flush()
    server.run(sockets=[listener])


def connection_json(address: str, options: Options) -> str:
    """Return an Airflow connection to a simulator, as ``AIRFLOW_CONN_…`` takes it."""
    connection = {
        "conn_type": "alvys",
        "host": address,
        "login": options.client_id,
        "password": options.client_secret,
        "extra": {"auth_url": f"{address}/oauth/token"},
    }
    return msgspec.json.encode(connection).decode()


def _stop_after_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_alvys.simulator",
        description="Start a local Alvys, for trying and for tests. See airflow_provider_alvys/simulator/options.py.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8099, help="port to listen on; 0 takes a free one")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    for field in msgspec.structs.fields(Options):
        flag = "--" + field.name.replace("_", "-")
        default: Any = field.default
        if default is msgspec.NODEFAULT:
            parser.add_argument(flag, type=msgspec.json.decode, default={}, help="as JSON")
        elif isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=" ")
        else:
            parser.add_argument(flag, default=default, help=" ")
    return parser


if __name__ == "__main__":
    main()
