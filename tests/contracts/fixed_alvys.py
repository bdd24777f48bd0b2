"""A server with fixed rows, for resuming the interrupted runs of ``lake``."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

FILE = b"%PDF-1.4 a document\n%%EOF\n"


class FixedAlvys:
    """
    A server of searches, lists and files.

    :param rows: rows by path, for example ``loads/search`` or ``loads/1001/documents``.
    :param file: content of all files.
    """

    def __init__(self, rows: dict[str, list[Any]], file: bytes = FILE) -> None:
        self.rows = rows
        self.file = file
        self.requests: list[tuple[str, Any]] = []
        self.broken: set[str] = set()
        fixed = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path == "/oauth/token":
                    return self.reply({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})
                return self.answer(json.loads(body))

            def do_GET(self) -> None:
                if self.path.startswith("/files/"):
                    fixed.requests.append((self.path, None))
                    return self.send(fixed.file, "application/pdf", 404 if self.path in fixed.broken else 200)
                return self.answer(None)

            def answer(self, body: Any) -> None:
                path = re.sub(r"^/api/p/v[\d.]+/", "", self.path)
                fixed.requests.append((path, body))
                rows = json.loads(json.dumps(fixed.rows[path]).replace("{url}", fixed.url))
                if body is None:
                    return self.reply(rows)
                page, size = body["Page"], body["PageSize"]
                items = rows[page * size : (page + 1) * size]
                return self.reply({"Page": page, "PageSize": size, "Total": len(rows), "Items": items})

            def reply(self, value: Any) -> None:
                self.send(json.dumps(value).encode(), "application/json")

            def send(self, content: bytes, content_type: str, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> FixedAlvys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def connection(self) -> str:
        """Return an Airflow connection to this server, as JSON."""
        return json.dumps(
            {
                "conn_type": "alvys",
                "host": self.url,
                "login": "id",
                "password": "secret",
                "extra": {"auth_url": f"{self.url}/oauth/token", "requests_per_minute": 0, "page_size": 5},
            }
        )
