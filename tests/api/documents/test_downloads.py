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
Answer = tuple[int, dict[str, str], bytes]


class Storage:
    """A storage on loopback that answers as it is told, one answer after the other, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
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
    downloader = Downloader(clock=clock)

    def download(url: str, size: int | None = None, *, on: Downloader = downloader) -> bytes:
        file = io.BytesIO(b"what was there before, and longer than what comes")
        assert on.download(url, file, what="document D1", size=size) == len(file.getvalue())
        return file.getvalue()

    return download


def test_nothing_that_says_who_asks_is_sent(
    storage: Storage, download: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    storage.answers = [(200, {"set-cookie": "a=b"}, b"file")]
    assert download(f"{storage.url}/f.pdf?{SECRET}", 4) == b"file"
    ((path, headers),) = storage.seen
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
def test_what_is_not_whole_is_fetched_again(storage: Storage, download: Any, answer: Answer) -> None:
    storage.answers = [answer, answer, (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert len(storage.seen) == 3


def test_a_wrong_size_in_the_end_is_an_error(storage: Storage, download: Any) -> None:
    storage.answers = [(200, {}, b"fil")]
    with pytest.raises(
        AlvysResponseError, match="document D1: http://127.0.0.1:[0-9]+ has 3 bytes, and Alvys says 4"
    ):
        download(f"{storage.url}/f?{SECRET}", 4)
    assert len(storage.seen) == 6


class Counting(io.BytesIO):
    """A file that knows how much was written into it, over all tries."""

    written = 0

    def write(self, data: Any) -> int:
        self.written += len(data)
        return super().write(data)


def test_no_more_than_a_chunk_is_taken_beyond_the_size(storage: Storage, clock: SkippingClock) -> None:
    # Without a length it could go on for ever.
    storage.answers = [(200, {"content-length": "?"}, b"file" * 1_000_000)]
    file = Counting()
    with pytest.raises(AlvysResponseError, match=r"sent [0-9]+ bytes of 4\.$"):
        Downloader(clock=clock).download(f"{storage.url}/f", file, what="document D1", size=4)
    assert file.written <= len(storage.seen) * CHUNK


def test_this_machine_is_never_behind_a_proxy(
    storage: Storage, download: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    storage.answers = [(200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"


def test_what_is_compressed_on_the_way_is_unpacked(storage: Storage, download: Any) -> None:
    storage.answers = [(200, {"content-encoding": "gzip"}, gzip.compress(b"file" * 1000))]
    assert download(f"{storage.url}/f", 4000) == b"file" * 1000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(storage: Storage, download: Any, status: int) -> None:
    storage.answers = [(status, {}, b"<Error>X-Signature</Error>")]
    with pytest.raises(UrlRefusedError, match=f"answered {status}") as caught:
        download(f"{storage.url}/f?{SECRET}", 4)
    assert "Signature" not in str(caught.value)
    assert (caught.value.endpoint, len(storage.seen)) == (ENDPOINT, 1)


def test_a_retry_after_is_waited_for(storage: Storage, download: Any, clock: SkippingClock) -> None:
    storage.answers = [(503, {"retry-after": "17"}, b""), (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert 17 <= sum(clock.sleeps) < 20


def test_a_redirect_is_followed_to_where_a_file_may_come_from(storage: Storage, download: Any) -> None:
    other = f"/g?{SECRET}"
    storage.answers = [(307, {"location": other}, b""), (200, {}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"
    assert [path for path, _ in storage.seen] == ["/f", other]
    storage.answers = [(302, {"location": "http://storage.example/f?sig=x"}, b"")]
    with pytest.raises(AlvysValueError, match=r"http://storage.example:80 would send it in clear text"):
        download(f"{storage.url}/f", 4)
    storage.answers = [(302, {"location": "/f"}, b"")]
    with pytest.raises(AlvysResponseError, match="answered 302, not the file"):
        download(f"{storage.url}/f", 4)


@pytest.mark.parametrize(
    "location",
    ["http://[::1/f", "https://127.0.0.1:99999/f", "https://storage..example/f", "ftp://127.0.0.1/f"],
)
def test_a_redirect_to_nowhere_is_an_error_of_the_document(
    storage: Storage, download: Any, location: str
) -> None:
    storage.answers = [(302, {"location": f"{location}?{SECRET}"}, b"")]
    with pytest.raises(AlvysError) as caught:
        download(f"{storage.url}/f")
    assert (caught.value.endpoint, len(storage.seen)) == (ENDPOINT, 1)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "4, 4", "x"])
def test_a_length_that_is_none_is_an_answer_without_one(storage: Storage, download: Any, length: str) -> None:
    storage.answers = [(200, {"content-length": length}, b"file")]
    assert download(f"{storage.url}/f", 4) == b"file"


class Https(requests.adapters.BaseAdapter):
    """Answers for https with a redirect to a storage without it."""

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
    storage.answers = [(200, {}, b"file")]
    downloader = Downloader(clock=clock, allow_http=True)
    downloader._session.mount("https://", Https(f"{storage.url}/f?{SECRET}"))
    with pytest.raises(AlvysResponseError, match=r"leads from https to http://127.0.0.1:\d+\.$"):
        download("https://storage.example/f", on=downloader)
    assert storage.seen == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://storage.example/f?{SECRET}", "http://storage.example:80 would send it in clear text"),
        (f"ftp://storage.example/f?{SECRET}", "no address to fetch it from that can be used"),
        (f"file:///etc/passwd?{SECRET}", "no address"),
        (f"https://user:word@storage.example/f?{SECRET}", "no address"),
        (f"https://[/f?{SECRET}", "no address"),
        (f"https://storage.example:99999/f?{SECRET}", "no address"),
        (f"https://storage..example/f?{SECRET}", "no address"),
        (f"https://{'a' * 64}.example/f?{SECRET}", "no address"),
        (f"/f?{SECRET}", "no address"),
    ],
)
def test_nothing_is_fetched_from_where_it_must_not_be(download: Any, url: str, says: str) -> None:
    with pytest.raises(AlvysValueError, match=says) as caught:
        download(url)
    assert "Signature" not in str(caught.value)


def test_no_error_tells_the_query(clock: SkippingClock, storage: Storage, download: Any) -> None:
    storage.answers = [(200, {}, b"")]
    storage.stop()
    with pytest.raises(
        AlvysConnectionError, match=f"document D1: no answer from {storage.url}: .*refused"
    ) as caught:
        download(f"{storage.url}/f?{SECRET}")
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


def test_an_error_of_the_storage_keeps_its_kind(storage: Storage, download: Any) -> None:
    storage.answers = [(500, {}, b"")]
    with pytest.raises(AlvysServerError, match="Try document D1 again later") as caught:
        download(f"{storage.url}/f")
    assert isinstance(caught.value, AlvysError)
