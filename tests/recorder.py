"""A server that keeps each request as it came, and answers as it was told: for what the simulator does not show."""

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
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """
    An answer to give.

    :param cut: the connection is cut in its place.
    :param cut_body: only this many bytes of the body are sent before it is cut.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    cut_body: int | None = None


class Recorder:
    """Record requests below the API base; the token's is answered and not kept."""

    def __init__(self) -> None:
        self.forget()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path == "/oauth/token":
                    token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
                    return self.reply(Answer(200, token))
                recorder.seen.append(
                    Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                self.reply(recorder.answers.pop(0) if recorder.answers else recorder.default)

            def reply(self, answer: Answer) -> None:
                if answer.cut:
                    self.close_connection = True
                    return self.connection.shutdown(socket.SHUT_RDWR)
                text = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                if answer.body is None:
                    text = b""
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[: answer.cut_body])
                if answer.cut_body is not None:
                    self.close_connection = True
                return None

            def log_message(self, format: str, *args: Any) -> None:
                pass

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of a client that gives up in the middle."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def forget(self) -> None:
        """Begin anew."""
        self.seen: list[Seen] = []
        self.answers: list[Answer] = []
        self.default = Answer(200, {})

    def client(self, clock: Clock, host: str | None = None) -> AlvysClient:
        credentials = make_credentials("id", "secret", auth_url=f"{self.url}/oauth/token")
        return AlvysClient(credentials, host=host or self.url, clock=clock, pacer=Pacer(0, clock=clock))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
