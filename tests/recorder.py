"""A server that records requests and sends canned responses, for what the simulator does not cover."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from airflow_provider_alvys.api.http.auth import make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.pacing import Pacer


@dataclass(frozen=True)
class RecordedRequest:
    """A request as received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class CannedResponse:
    """
    A response to send.

    :param disconnect: close the connection instead.
    :param truncate_at: send only this many bytes of the body, then close the connection.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    disconnect: bool = False
    truncate_at: int | None = None


class Recorder:
    """Record requests below the API base; the token request is answered and not recorded."""

    def __init__(self) -> None:
        self.reset()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path == "/oauth/token":
                    return self.reply(CannedResponse(200, recorder.token))
                recorder.requests.append(
                    RecordedRequest(
                        self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body
                    )
                )
                self.reply(recorder.responses.pop(0) if recorder.responses else recorder.default)

            def reply(self, response: CannedResponse) -> None:
                if response.disconnect:
                    self.close_connection = True
                    return self.connection.shutdown(socket.SHUT_RDWR)
                text = (
                    response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
                )
                if response.body is None:
                    text = b""
                self.send_response(response.status)
                for name, value in {"Content-Type": "application/json", **response.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[: response.truncate_at])
                if response.truncate_at is not None:
                    self.close_connection = True
                return None

            def log_message(self, format: str, *args: Any) -> None:
                pass

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Ignore a client that disconnects."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self) -> None:
        """Forget all requests and responses."""
        self.requests: list[RecordedRequest] = []
        self.responses: list[CannedResponse] = []
        self.default = CannedResponse(200, {})
        # A response to the token request: JSON, or bytes.
        self.token: Any = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}

    def client(self, clock: Clock, host: str | None = None) -> AlvysClient:
        credentials = make_credentials("id", "secret", auth_url=f"{self.url}/oauth/token")
        return AlvysClient(credentials, host=host or self.url, clock=clock, pacer=Pacer(0, clock=clock))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
