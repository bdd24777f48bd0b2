"""``python -m airflow_provider_alvys.simulator``: start a local Alvys."""

from __future__ import annotations

import argparse
import gc
import socket
import sys
import threading
from typing import Any, Literal, get_args, get_origin

import msgspec
import uvicorn

from airflow_provider_alvys.api.catalogue.limits import DEFAULT_LIMIT
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.cli.parser import CommandParser
from airflow_provider_alvys.simulator.app.control_guard import is_loopback
from airflow_provider_alvys.simulator.app.server import SimulatorApp
from airflow_provider_alvys.simulator.options import Options, option_descriptions

_SECONDS = 60
# New objects until Python looks for garbage. The rows of a company are many small objects that stay.
_GARBAGE_THRESHOLDS = (100_000, 20, 100)


def main() -> None:
    """Parse the command line and serve until interrupted."""
    parser = _parser()
    arguments = vars(parser.parse_args())
    host, port, stop_with_stdin = (arguments.pop(name) for name in ("host", "port", "stop_with_stdin"))
    try:
        for name in ("rows", "window_columns"):
            arguments[name] = msgspec.json.decode(arguments[name])
        options = msgspec.convert(arguments, Options, strict=False)
        app = SimulatorApp(options, host)
    except (msgspec.DecodeError, AlvysValueError) as error:
        parser.error(str(error))
    try:
        listener = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        parser.fail(
            f"cannot listen on {host}:{port}: {reason}. Another program, such as another simulator, may use "
            "the port: give --port 0 to take a free one, or the number of another"
        )
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    config = uvicorn.Config(app, log_level="warning", date_header=False, server_header=False)
    server = uvicorn.Server(config)
    if stop_with_stdin:
        threading.Thread(target=_stop_after_stdin, args=(server,), daemon=True).start()
    address = f"http://{host}:{listener.getsockname()[1]}"
    sys.stdout.write(
        f"{address}\n"
        f"A simulated Alvys with {options.loads} loads. Airflow connects to it with\n"
        f"  export AIRFLOW_CONN_ALVYS_DEFAULT='{connection_json(address, options)}'\n"
    )
    sys.stdout.flush()
    if not is_loopback(host):
        sys.stderr.write(
            f"Warning: the simulator listens on {host}. Any program in the network that reaches this address "
            "can read and control it.\n"
            f"Control requests (/_sim/) are accepted with the Host localhost or {host}.\n"
        )
    server.run(sockets=[listener])


def connection_json(address: str, options: Options) -> str:
    """
    Return an Airflow connection to a simulator, as the value of ``AIRFLOW_CONN_…``.

    Its pace fits the simulator's rate limits.
    """
    extra: dict[str, Any] = {"auth_url": f"{address}/oauth/token"}
    if options.minute != _SECONDS:
        extra["requests_per_minute"] = DEFAULT_LIMIT.requests * _SECONDS / options.minute
    connection = {
        "conn_type": "alvys",
        "host": address,
        "login": options.client_id,
        "password": options.client_secret,
        "extra": extra,
    }
    return msgspec.json.encode(connection).decode()


def _stop_after_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m airflow_provider_alvys.simulator",
        description="Start a local Alvys for demos and tests.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8099, help="port to listen on; 0 takes a free one")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop at the end of standard input")
    descriptions = option_descriptions()
    for field in msgspec.structs.fields(Options):
        flag, text = "--" + field.name.replace("_", "-"), descriptions[field.name].replace("%", "%%")
        if get_origin(field.type) is Literal:
            parser.add_argument(flag, choices=get_args(field.type), default=field.default, help=text)
        elif isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=field.default, help=text)
        else:
            default = "{}" if field.default is msgspec.NODEFAULT else field.default
            parser.add_argument(flag, default=default, help=text)
    return parser


if __name__ == "__main__":
    main()
