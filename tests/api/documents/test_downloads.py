from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_alvys.api.documents.addresses import AddressRules
from airflow_provider_alvys.api.documents.downloads import CHUNK, ENDPOINT, Downloader, UrlRefusedError
from airflow_provider_alvys.api.errors import (
    AlvysConnectionError,
    AlvysError,
    AlvysResponseError,
    AlvysServerError,
    AlvysValueError,
)
from tests.conftest import SkippingClock

SECRET = "X-Signature=abcdef"
# As for a connection to a simulator on this machine.
LOCAL = AddressRules(allow_loopback=True)
Response = tuple[int, dict[str, str], bytes]


class Storage:
    """A storage on loopback that sends canned responses in turn, and repeats the last one."""

    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(
                    (self.path, {name.lower(): value for name, value in self.headers.items()})
                )
                status, headers, body = (
                    outer.responses.pop(0) if len(outer.responses) > 1 else outer.responses[0]
                )
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage()
    yield storage
    storage.stop()


@pytest.fixture
def download(clock: SkippingClock) -> Callable[..., bytes]:
    downloader = Downloader(clock=clock, rules=LOCAL)

    def download(url: str, size: int | None = None, *, on: Downloader = downloader) -> bytes:
        file = io.BytesIO(b"earlier content, longer than the file")
        assert on.download(url, file, what="document D1", size=size) == len(file.getvalue())
        return file.getvalue()

    return download


def test_no_credentials_are_sent(
    storage: Storage, download: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    storage.responses = [(200, {"set-cookie": "a=b"}, b"file")]
    assert download(f"{storage.url}/f.pdf?{SECRET}", 4) == b"file"
    ((path, headers),) = storage.requests
    assert path == f"/f.pdf?{SECRET}"
    assert "authorization" not in headers
    assert headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((200, {"content-length": "9"}, b"file"), id="cut"),
        pytest.param((200, {}, b"fil"), id="truncated in the storage"),
        pytest.param((200, {}, b"files"), id="too long"),
        pytest.param((500, {}, b""), id="500"),
        pytest.param((204, {}, b""), id="no file"),
    ],
)
def test_an_incomplete_file_is_downloaded_again(storage: Storage, download: Any, answer: Response) -> None:
    storage.responses = [answer, answer, (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert len(storage.requests) == 3


def test_a_wrong_size_after_all_attempts_is_an_error(storage: Storage, download: Any) -> None:
    storage.responses = [(200, {}, b"fil")]
    with pytest.raises(AlvysResponseError, match="document D1: .* 3 bytes.* 4") as caught:
        download(f"{storage.url}/f?{SECRET}", 4)
    assert (caught.value.endpoint, caught.value.status_code) == (ENDPOINT, 200)
    assert len(storage.requests) == 6


class Counting(io.BytesIO):
    """A file that counts the bytes written to it, over all attempts."""

    written = 0

    def write(self, data: Any) -> int:
        self.written += len(data)
        return super().write(data)


def test_at_most_one_chunk_is_read_beyond_the_size(storage: Storage, clock: SkippingClock) -> None:
    # Without a length the response could be endless.
    storage.responses = [(200, {"content-length": "?"}, b"file" * 1_000_000)]
    file = Counting()
    with pytest.raises(AlvysResponseError, match=r"[0-9]+ bytes of 4"):
        Downloader(clock=clock, rules=LOCAL).download(f"{storage.url}/f", file, what="document D1", size=4)
    assert file.written <= len(storage.requests) * CHUNK


def test_downloads_from_loopback_bypass_proxies(
    storage: Storage, download: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    storage.responses = [(200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"


def test_a_compressed_response_is_decompressed(storage: Storage, download: Any) -> None:
    storage.responses = [(200, {"content-encoding": "gzip"}, gzip.compress(b"file" * 1000))]
    assert download(f"{storage.url}/f", 4000) == b"file" * 1000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_retried(storage: Storage, download: Any, status: int) -> None:
    storage.responses = [(status, {}, b"<Error>X-Signature</Error>")]
    with pytest.raises(UrlRefusedError, match="document D1") as caught:
        download(f"{storage.url}/f?{SECRET}", 4)
    assert "Signature" not in str(caught.value)
    assert (caught.value.endpoint, caught.value.status_code) == (ENDPOINT, status)
    assert len(storage.requests) == 1


def test_a_retry_waits_for_retry_after(storage: Storage, download: Any, clock: SkippingClock) -> None:
    storage.responses = [(503, {"retry-after": "17"}, b""), (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert 17 <= sum(clock.sleeps) < 20


def test_a_redirect_is_followed_to_allowed_urls_only(storage: Storage, download: Any) -> None:
    other = f"/g?{SECRET}"
    storage.responses = [(307, {"location": other}, b""), (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert [path for path, _ in storage.requests] == ["/f", other]
    storage.responses = [(302, {"location": "http://storage.example/f?sig=x"}, b"")]
    with pytest.raises(AlvysValueError, match=r"http://storage.example:80 .*allow_http"):
        download(f"{storage.url}/f", 4)
    storage.responses = [(302, {"location": "/f"}, b"")]
    with pytest.raises(AlvysResponseError) as caught:
        download(f"{storage.url}/f", 4)
    assert caught.value.status_code == 302


@pytest.mark.parametrize(
    "location",
    ["http://[::1/f", "https://127.0.0.1:99999/f", "https://storage..example/f", "ftp://127.0.0.1/f"],
)
def test_a_redirect_to_an_invalid_url_is_an_error_of_the_document(
    storage: Storage, download: Any, location: str
) -> None:
    storage.responses = [(302, {"location": f"{location}?{SECRET}"}, b"")]
    with pytest.raises(AlvysError) as caught:
        download(f"{storage.url}/f")
    assert (caught.value.endpoint, len(storage.requests)) == (ENDPOINT, 1)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "4, 4", "x"])
def test_an_invalid_content_length_is_ignored(storage: Storage, download: Any, length: str) -> None:
    storage.responses = [(200, {"content-length": length}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"


class Https(requests.adapters.BaseAdapter):
    """Respond to https with a redirect to a storage with plain http."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target

    def send(self, request: Any, *arguments: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.request = 302, request.url, request
        response.headers["location"] = self._target
        response.raw = io.BytesIO()
        return response

    def close(self) -> None:
        pass


def test_a_redirect_from_https_to_http_is_not_followed(
    storage: Storage, clock: SkippingClock, download: Any
) -> None:
    storage.responses = [(200, {}, b"file")]
    downloader = Downloader(clock=clock, allow_http=True, rules=LOCAL)
    downloader._session.mount("https://", Https(f"{storage.url}/f?{SECRET}"))
    with pytest.raises(AlvysResponseError, match=r"https to http://127.0.0.1:\d+\.$"):
        download("https://storage.example/f", on=downloader)
    assert storage.requests == []


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (f"http://storage.example/f?{SECRET}", "http://storage.example:80 .*allow_http"),
        (f"ftp://storage.example/f?{SECRET}", "URL"),
        (f"file:///etc/passwd?{SECRET}", "URL"),
        (f"https://user:word@storage.example/f?{SECRET}", "URL"),
        (f"https://[/f?{SECRET}", "URL"),
        (f"https://storage.example:99999/f?{SECRET}", "URL"),
        (f"https://storage..example/f?{SECRET}", "URL"),
        (f"https://{'a' * 64}.example/f?{SECRET}", "URL"),
        (f"/f?{SECRET}", "URL"),
    ],
)
def test_an_unsafe_or_invalid_url_is_an_error(download: Any, url: str, names: str) -> None:
    with pytest.raises(AlvysValueError, match=names) as caught:
        download(url)
    assert caught.value.endpoint == ENDPOINT
    assert "Signature" not in str(caught.value)


def test_no_error_contains_the_query(clock: SkippingClock, storage: Storage, download: Any) -> None:
    storage.responses = [(200, {}, b"")]
    storage.stop()
    with pytest.raises(AlvysConnectionError, match=f"document D1: .*{storage.url}: .*refused") as caught:
        download(f"{storage.url}/f?{SECRET}")
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_5xx_of_the_storage_is_a_server_error(storage: Storage, download: Any) -> None:
    storage.responses = [(500, {}, b"")]
    with pytest.raises(AlvysServerError, match="document D1") as caught:
        download(f"{storage.url}/f")
    assert (caught.value.endpoint, caught.value.status_code) == (ENDPOINT, 500)
