"""A server that sends any bytes as its response, for what no HTTP library sends."""

from __future__ import annotations

import json
import socket
import threading
import time

TOKEN = json.dumps({"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}).encode()


def make_response(body: bytes = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """Return a whole response; ``content_type`` gives the header Content-Type."""
    headers = {
        "content_type": "application/json",
        "content_length": str(len(body)),
        "connection": "close",
        **headers,
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class RawServer:
    """
    Receive requests, and send each the bytes of ``response``, then close the connection.

    :param requests: the first line of each request, without those for tokens.
    :param token_response: the bytes that a request for a token gets.
    :param gap: seconds between two bytes of ``response``, and of ``token_response`` if it was replaced.
    :param keeps_alive: respond to the first request of a connection only, and close at the second.
    """

    def __init__(self) -> None:
        self.response = make_response()
        self.token_response = self._good_token = make_response(TOKEN)
        self.gap = 0.0
        self.keeps_alive = False
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept() would wait on after close() alone.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while line := self._receive(connection):
                    if " /oauth/token" in line:
                        self._send(connection, self.token_response)
                        return
                    self.requests.append(line)
                    self._send(connection, self.response)
                    if not self.keeps_alive:
                        return
                    self.requests += filter(None, [self._receive(connection)])
                    return
        except OSError:
            # The client has closed the connection.
            pass

    def _receive(self, connection: socket.socket) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (chunk := connection.recv(65536)):
                return ""
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        left = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while left > 0:
            left -= len(connection.recv(65536)) or left
        return head.split(b"\r\n")[0].decode()

    def _send(self, connection: socket.socket, content: bytes) -> None:
        if not self.gap or content is self._good_token:
            return connection.sendall(content)
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            time.sleep(self.gap)
        return None
