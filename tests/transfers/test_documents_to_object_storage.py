from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import requests

from airflow_provider_alvys import AlvysDocumentsToObjectStorageOperator, RecentParents, alvys_documents_asset
from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.documents import downloads
from airflow_provider_alvys.api.documents.listing import DOCUMENT_STREAMS
from airflow_provider_alvys.api.errors import (
    AlvysDownloadError,
    AlvysPermissionError,
    AlvysStorageError,
    AlvysValueError,
)
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import DataSet, Land, QuickHook, SkippingClock
from tests.contracts.fixed_alvys import FixedAlvys
from tests.transfers.test_deferral import Worker

LISTS = "GET loads/{id}/documents"
FILES = "GET storage"
FOLDER = "documents/load/tenant=alvys_default"
CONTEXT: Any = {"run_id": "run", "ti": SimpleNamespace(dag_id="dag", task_id="fetch", map_index=-1)}

Fetch = Callable[..., dict[str, Any]]


@pytest.fixture
def fetch(hook: QuickHook, data_set: DataSet) -> Fetch:
    """Execute an AlvysDocumentsToObjectStorageOperator for loads, as a new run."""
    return make_fetch(hook, data_set.path)


def make_fetch(hook: QuickHook, path: str) -> Fetch:
    def fetch(context: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
        arguments = {"parent_type": "load", "path": path, **arguments}
        operator = AlvysDocumentsToObjectStorageOperator(task_id="fetch", **arguments)
        operator.hook = hook
        return operator.execute(context or {})

    return fetch


def load_numbers(alvys: Simulator) -> list[str]:
    return [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()]


def rows_of(alvys: Simulator, parents: list[str], stream: str = "load_documents") -> list[dict[str, Any]]:
    return [json.loads(row) for row in alvys.truth_rows(stream=stream, parents=parents)]


def served(row: dict[str, Any]) -> bytes:
    """Return the simulator's content of a document."""
    session = requests.Session()
    session.trust_env = False
    response = session.get(row["DownloadUrl"], timeout=10)
    response.raise_for_status()
    return response.content


def index_of(data_set: DataSet, result: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data_set.file(result["index"]).read_bytes().splitlines()]


def fetched_files(data_set: DataSet) -> dict[str, bytes]:
    """Return the content of each file except the index and the run file, by name."""
    folder = data_set.files()
    known = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in known.items() if "/_" not in f"/{name}"}


def check_whole(
    alvys: Simulator, data_set: DataSet, result: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    """Compare index and files with the simulator's documents."""
    files, index = fetched_files(data_set), {row["name"]: row for row in index_of(data_set, result)}
    assert set(files) == set(index)
    assert len(index) == len(rows) == result["documents"] == result["fetched"] + result["already_there"]
    contents = {(row["id"], len(content)): content for row in rows for content in [served(row)]}
    for name, row in index.items():
        assert files[name] == contents[row["id"], row["size"]]


@pytest.mark.every_airflow
def test_every_document_is_downloaded_once_byte_for_byte(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:12]
    result = fetch(parents=numbers)
    rows = rows_of(alvys, numbers)
    assert result["fetched"] == len(rows) > 5
    assert result["bytes"] == sum(row["AttachmentSize"] for row in rows)
    stats = alvys.stats()
    assert (stats["requests"][LISTS], stats["requests"][FILES], stats["bearer_at_storage"]) == (
        12,
        len(rows),
        0,
    )
    check_whole(alvys, data_set, result, rows)
    known = {row["id"]: row for row in rows}
    for row in index_of(data_set, result):
        true = known[row["id"]]
        assert (row["type"], row["size"], row["uploaded_at"]) == (
            true["AttachmentType"],
            true["AttachmentSize"],
            true["UploadedAt"],
        )
        assert row["name"].startswith(f"{FOLDER}/{row['parent']}/{row['id']}-")
        assert row["file_name"] == true["AttachmentPath"].rpartition("/")[2]
    assert {
        name: result[name]
        for name in ("path", "stream", "tenant", "parent_type", "parents", "missing_parents")
    } == {
        "path": data_set.path,
        "stream": "load_documents",
        "tenant": "alvys_default",
        "parent_type": "load",
        "parents": 12,
        "missing_parents": [],
    }


def test_complete_files_are_not_downloaded_again_and_truncated_ones_are(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:6]
    first = fetch(parents=numbers)
    folder = data_set.files()
    files = [folder / name for name in sorted(fetched_files(data_set))]
    data_set.write(files[0], files[0].read_bytes()[:-1])
    data_set.write(files[1], None)
    (new,) = alvys.add(stream="load_documents", parent=numbers[2])
    before = alvys.stats()["requests"]
    second = fetch(parents=numbers)
    after = alvys.stats()["requests"]
    assert (after[LISTS] - before[LISTS], after[FILES] - before[FILES]) == (6, 3)
    assert (second["fetched"], second["already_there"]) == (3, first["documents"] - 2)
    assert new in {row["id"] for row in index_of(data_set, second)}
    check_whole(alvys, data_set, second, rows_of(alvys, numbers))


@pytest.mark.parametrize(
    "types",
    [
        ["proof of DELIVERY"],
        ["Proof of Delivery (POD)"],
        ["Load Manifest", " Proof  of Delivery "],
        "Proof of Delivery",
    ],
)
def test_types_are_compared_in_any_spelling(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, types: list[str]
) -> None:
    numbers = load_numbers(alvys)[:40]
    alvys.add(
        stream="load_documents",
        parent=numbers[0],
        columns={"id": "x", "AttachmentType": "Proof of Delivery (POD)"},
    )
    wanted = [row for row in rows_of(alvys, numbers) if row["AttachmentType"].startswith("Proof of Delivery")]
    result = fetch(parents=numbers, document_types=types)
    assert {row["id"] for row in index_of(data_set, result)} == {row["id"] for row in wanted} > {"x"}
    assert alvys.stats()["requests"][FILES] == result["documents"]


@pytest.mark.parametrize("parent_type", DOCUMENT_STREAMS)
def test_each_kind_of_parent_has_its_own_folder(
    alvys: Simulator, hook: QuickHook, tmp_path: Path, parent_type: str
) -> None:
    stream = DOCUMENT_STREAMS[parent_type]
    data_set = DataSet(str(tmp_path / "lake"), tmp_path / "lake")
    parents = [
        json.loads(row)[stream.parent.column] for row in alvys.truth_rows(stream=stream.parent.stream)
    ][:8]
    result = make_fetch(hook, data_set.path)(parent_type=parent_type, parents=parents)
    rows = rows_of(alvys, parents, stream=stream.name)
    assert rows
    check_whole(alvys, data_set, result, rows)
    assert {name.split("/")[1] for name in fetched_files(data_set)} == {parent_type}


def test_an_expired_url_costs_one_more_list(
    alvys: Simulator,
    data_set: DataSet,
    fetch: Fetch,
    hook: QuickHook,
    clock: SkippingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = load_numbers(alvys)[0]
    for _ in range(4):
        alvys.add(stream="load_documents", parent=number)
    rows = rows_of(alvys, [number])
    original, calls = downloads.Downloader.download, iter(range(100))

    def slow(self: Any, *arguments: Any, **options: Any) -> int:
        if next(calls) == 2:
            # As if the first two had taken 15 minutes. The downloader's clock does not show it.
            alvys.set_clock(clock.time() + 900)
        return original(self, *arguments, **options)

    monkeypatch.setattr(downloads.Downloader, "download", slow)
    result = fetch(parents=[number])
    requests_made = alvys.stats()["requests"]
    assert (requests_made[LISTS], result["renewals"]) == (2, 1)
    assert requests_made[FILES] == len(rows) + 1
    check_whole(alvys, data_set, result, rows_of(alvys, [number]))


def test_a_url_that_is_about_to_expire_is_not_tried(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, clock: SkippingClock
) -> None:
    alvys.reset(loads=20, url_lifetime=20)
    number = load_numbers(alvys)[0]
    result = fetch(parents=[number])
    made = alvys.stats()["requests"]
    # A new URL that expires as soon is not renewed again.
    assert made[FILES] == result["documents"]
    assert made[LISTS] == 1 + result["renewals"] == 1 + result["documents"]


def test_a_storage_that_refuses_a_new_url_too_is_an_error(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    alvys.reset(loads=20, url_lifetime=0)
    number = load_numbers(alvys)[0]
    alvys.add(stream="load_documents", parent=number, rows=4)
    count = len(rows_of(alvys, [number]))
    says = rf"^{count} documents? could not be downloaded: document .* answered 403: the URL has expired"
    # Each is tried in each attempt: one refusal says nothing about the next document.
    for _ in range(2):
        with pytest.raises(AlvysDownloadError, match=says):
            fetch(CONTEXT, parents=[number])
    assert alvys.stats()["requests"][FILES] == 2 * 2 * count
    assert fetched_files(data_set) == {}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "truncate"},
        {"kind": "reset"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
    ],
)
def test_a_failed_download_is_retried(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, fault: dict[str, Any]
) -> None:
    numbers = load_numbers(alvys)[:3]
    alvys.order_faults({**fault, "endpoint": FILES, "times": 2, "skip": 1})
    result = fetch(parents=numbers)
    assert alvys.stats()["requests"][FILES] == result["documents"] + 2
    assert alvys.stats()["requests"][LISTS] == 3
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


def test_the_other_documents_are_downloaded_if_one_fails_and_a_retry_downloads_it(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:8]
    rows = rows_of(alvys, numbers)
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": FILES, "times": 6, "skip": 2})
    with pytest.raises(AlvysDownloadError, match=r"1 document could not be downloaded") as caught:
        fetch(CONTEXT, parents=numbers)
    files = fetched_files(data_set)
    assert len(files) == len(rows) - 1
    (lacking,) = {row["id"] for row in rows} - {
        name.split("/")[-1].rpartition("-")[0][: len(rows[0]["id"])] for name in files
    }
    assert lacking in str(caught.value)
    assert not list(data_set.files().rglob("*.jsonl"))
    before = alvys.stats()["requests"]
    result = fetch(CONTEXT, parents=numbers)
    after = alvys.stats()["requests"]
    assert (after[LISTS] - before[LISTS], after[FILES] - before[FILES]) == (1, 1)
    assert (result["fetched"], result["parents"]) == (len(rows), 8)
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


def test_failures_that_are_not_in_a_row_do_not_end_a_download(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:20]
    rows = rows_of(alvys, numbers)
    # Six requests for the first, third, fifth and seventh document.
    alvys.order_faults(
        *(
            {"kind": "status", "status": 500, "endpoint": FILES, "times": 6, "skip": 7 * at}
            for at in range(4)
        ),
    )
    with pytest.raises(AlvysDownloadError, match=r"^4 documents could not be downloaded"):
        fetch(CONTEXT, parents=numbers)
    assert len(fetched_files(data_set)) == len(rows) - 4


def test_a_retry_downloads_files_that_changed_since_the_last_attempt(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:8]
    rows = rows_of(alvys, numbers)
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": FILES, "times": 6, "skip": 2})
    with pytest.raises(AlvysDownloadError):
        fetch(CONTEXT, parents=numbers)
    folder = data_set.files()
    cut, gone = [folder / name for name in sorted(fetched_files(data_set))][:2]
    data_set.write(cut, cut.read_bytes()[:-1])
    data_set.write(gone, None)
    fetch(CONTEXT, parents=numbers)
    assert {name: len(content) for name, content in fetched_files(data_set).items()} == {
        row["name"]: row["size"] for row in index_of(data_set, fetch(parents=numbers))
    }
    assert alvys.stats()["requests"][FILES] == (len(rows) - 1) + 6 + 3


def test_a_task_that_was_changed_starts_over(alvys: Simulator, data_set: DataSet, fetch: Fetch) -> None:
    numbers = load_numbers(alvys)[:10]
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": FILES, "times": 6})
    with pytest.raises(AlvysDownloadError):
        fetch(CONTEXT, parents=numbers, document_types=[rows_of(alvys, numbers)[0]["AttachmentType"]])
    check_whole(alvys, data_set, fetch(CONTEXT, parents=numbers), rows_of(alvys, numbers))


def test_a_storage_that_is_down_is_not_tried_for_each_document(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": FILES, "times": 9999})
    with pytest.raises(AlvysDownloadError, match="3 documents could not be downloaded in a row"):
        fetch(parents=load_numbers(alvys)[:40])
    assert alvys.stats()["requests"][FILES] == 3 * 6


class Killed(BaseException):
    pass


@pytest.fixture
def die_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Kill the process once, after a number of chunks."""
    original = downloads.Downloader._chunks

    def die_after(most: int) -> None:
        count = iter(range(10**9))

        def chunks(self: Any, *arguments: Any) -> Iterator[bytes]:
            for chunk in original(self, *arguments):
                if next(count) == most:
                    raise Killed
                yield chunk

        monkeypatch.setattr(downloads.Downloader, "_chunks", chunks)

    return die_after


@pytest.mark.parametrize("chunks_of_the_big_one", [0, 4])
def test_a_kill_leaves_no_partial_file_and_a_retry_resumes(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, die_after: Any, chunks_of_the_big_one: int
) -> None:
    numbers = load_numbers(alvys)[:4]
    alvys.add(stream="load_documents", parent=numbers[1], columns={"id": "big", "AttachmentSize": 2_000_000})
    rows = rows_of(alvys, numbers)
    before_it = [row["id"] for row in rows].index("big")
    # Each of the others is one chunk.
    assert all(row["AttachmentSize"] < downloads.CHUNK for row in rows if row["id"] != "big")
    die_after(before_it + chunks_of_the_big_one)
    with pytest.raises(Killed):
        fetch(CONTEXT, parents=numbers)
    assert len(fetched_files(data_set)) == before_it
    assert not any("big" in file.name or "draft" in file.name for file in data_set.files().rglob("*"))
    result = fetch(CONTEXT, parents=numbers)
    assert alvys.stats()["requests"][FILES] == len(rows) + 1
    assert (result["already_there"], result["fetched"]) == (before_it, len(rows) - before_it)
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


def test_a_kill_costs_the_lists_since_the_last_checkpoint(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, die_after: Any
) -> None:
    numbers = load_numbers(alvys)[:60]
    die_after(len(rows_of(alvys, numbers[:45])))
    with pytest.raises(Killed):
        fetch(CONTEXT, parents=numbers)
    before = alvys.stats()["requests"][LISTS]
    assert before > 45
    result = fetch(CONTEXT, parents=numbers)
    assert alvys.stats()["requests"][LISTS] - before <= 20
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


HOSTILE = [
    "../../../etc/passwd",
    "",
    "a/b\\c/pod.pdf",
    "x\x00y\n.pdf",
    "POD.pdf",
    "pod.PDF",
    "x" * 400 + ".pdf",
    "Übergabe №7 ☃.pdf",
    "~root $(rm -rf).pdf",
    "_manifest.json",
    "pod.pdf?sig=1#x",
    "con.tar.gz",
]


def test_no_name_leads_out_of_its_folder_and_none_is_another_ones(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    number = load_numbers(alvys)[0]
    for at, name in enumerate(HOSTILE):
        alvys.add(
            stream="load_documents",
            parent=number,
            columns={"id": f"H{at}", "AttachmentPath": f"files/{name}"},
        )
    first = fetch(parents=[number])
    names = [row["name"] for row in index_of(data_set, first)]
    assert len({name.lower() for name in names}) == len(names) >= len(HOSTILE)
    for name in names:
        folder, _, last = name.rpartition("/")
        assert folder == f"{FOLDER}/{number}"
        assert len(last) < 200
        assert set(last) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert set(names) == set(fetched_files(data_set))
    assert [row["name"] for row in index_of(data_set, fetch(parents=[number]))] == names


def test_two_documents_of_one_name_are_two_files(alvys: Simulator, data_set: DataSet, fetch: Fetch) -> None:
    number = load_numbers(alvys)[0]
    for id in ("A1", "A2"):
        alvys.add(
            stream="load_documents",
            parent=number,
            columns={"id": id, "AttachmentPath": "x/pod.pdf", "AttachmentSize": 5000},
        )
    result = fetch(parents=[number])
    assert {"A1-pod.pdf", "A2-pod.pdf"} <= {
        row["name"].rpartition("/")[2] for row in index_of(data_set, result)
    }
    check_whole(alvys, data_set, result, rows_of(alvys, [number]))


def test_a_document_without_a_size_is_downloaded_once(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    number = load_numbers(alvys)[0]
    for at, size in enumerate((None, 0, -1)):
        alvys.add(stream="load_documents", parent=number, columns={"id": f"S{at}", "AttachmentSize": size})
    first = fetch(parents=[number])
    sizes = {row["id"]: row["size"] for row in index_of(data_set, first)}
    files = fetched_files(data_set)
    assert {row["id"]: len(files[row["name"]]) for row in index_of(data_set, first)} == sizes
    reload = fetch(parents=[number])
    assert (reload["fetched"], reload["documents"]) == (0, first["documents"])
    assert {row["id"]: row["size"] for row in index_of(data_set, reload)} == sizes


def test_two_tasks_that_download_the_same_document_leave_complete_files(
    alvys: Simulator, data_set: DataSet, hook: QuickHook, clock: SkippingClock
) -> None:
    numbers = load_numbers(alvys)[:10]
    contexts = [{**CONTEXT, "run_id": f"run-{at}"} for at in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = list(
            pool.map(
                lambda context: make_fetch(QuickHook(clock), data_set.path)(context, parents=numbers),
                contexts,
            )
        )
    assert len({result["index"] for result in results}) == 3
    rows = rows_of(alvys, numbers)
    for result in results:
        check_whole(alvys, data_set, result, rows)


def test_a_failing_bucket_stops_a_download_and_a_retry_resumes(
    alvys: Simulator, hook: QuickHook, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3fs = pytest.importorskip("s3fs")
    data_set = DataSet(f"s3://aws_lake@lake/{tmp_path.name}", tmp_path / "mirror", bucket)
    fetch, numbers = make_fetch(hook, data_set.path), load_numbers(alvys)[:6]
    call, puts = s3fs.S3FileSystem._call_s3, iter(range(100))

    async def fail_once(self: Any, method: str, *arguments: Any, **options: Any) -> Any:
        if (
            method == "put_object"
            and "/load/" in options["Key"]
            and "/_" not in options["Key"]
            and next(puts) == 2
        ):
            raise OSError("the bucket is in a bad way")
        return await call(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", fail_once)
    with pytest.raises(AlvysStorageError, match="the bucket is in a bad way"):
        fetch(CONTEXT, parents=numbers)
    assert len(fetched_files(data_set)) == 2
    rows = rows_of(alvys, numbers)
    result = fetch(CONTEXT, parents=numbers)
    assert result["fetched"] == len(rows)
    check_whole(alvys, data_set, result, rows)


def test_hostile_ids_stay_in_a_folder_of_their_own(alvys: Simulator, data_set: DataSet, fetch: Fetch) -> None:
    numbers = load_numbers(alvys)[:3]
    for number, hostile in zip(numbers, ["../up", "a/b", "a_b"], strict=True):
        alvys.change(keys=[number], columns={"LoadNumber": hostile})
        alvys.add(stream="load_documents", parent=hostile, columns={"id": f"../{hostile}"})
    result = fetch(parents=["../up", "a/b", "a_b"])
    assert result["missing_parents"] == []
    names = [row["name"] for row in index_of(data_set, result)]
    assert all(len(name.split("/")) == 5 and ".." not in name for name in names)
    assert len({name.split("/")[3] for name in names}) == 3
    assert set(names) == set(fetched_files(data_set))


def test_a_parent_unknown_to_alvys_is_reported_and_is_not_an_error(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    numbers = load_numbers(alvys)[:3]
    result = fetch(parents=[numbers[0], "7", *numbers[1:]])
    assert (result["missing_parents"], result["parents"]) == (["7"], 4)
    assert alvys.stats()["requests"][LISTS] == 3 + 2
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


def test_a_missing_scope_fails_with_its_name(alvys: Simulator, data_set: DataSet, fetch: Fetch) -> None:
    alvys.reset(loads=20, scopes="trip:read")
    with pytest.raises(AlvysPermissionError, match="lacks the scope load:read"):
        fetch(parents=load_numbers(alvys)[:2])


def test_parents_may_be_the_output_of_their_sync(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, land: Land
) -> None:
    loads = land(path=data_set.path, filters={"LoadNumbers": load_numbers(alvys)[3:9]})
    for parents in (loads, [loads], loads["manifest"], RecentParents(days=99999, where={})):
        result = fetch(parents=parents)
        assert result["parents"] == loads["rows"] or isinstance(parents, RecentParents)
    assert result["documents"] > 0


def test_documents_listed_by_a_sync_need_no_list_while_their_urls_are_valid(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, land: Land
) -> None:
    numbers = load_numbers(alvys)[:8]
    documents = land(path=data_set.path, stream="load_documents", parents=numbers)
    result = fetch(parents=documents)
    assert (result["parents"], result["renewals"], result["documents"]) == (8, 0, documents["rows"])
    assert alvys.stats()["requests"][LISTS] == 8
    names = {row["name"] for row in index_of(data_set, result)}
    assert names <= set(fetched_files(data_set))
    # Later its URLs are invalid, but existing files need none.
    alvys.set_clock(4e9)
    reload = fetch(parents=documents)
    assert (reload["already_there"], reload["renewals"], alvys.stats()["requests"][LISTS]) == (
        documents["rows"],
        0,
        8,
    )


def test_a_parent_given_twice_is_listed_once(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, land: Land
) -> None:
    numbers = load_numbers(alvys)[:4]
    documents = land(path=data_set.path, stream="load_documents", parents=numbers[:3])
    result = fetch(parents=[documents, *numbers, numbers[3]])
    assert (result["parents"], alvys.stats()["requests"][LISTS]) == (4, 4)
    assert sorted(row["id"] for row in index_of(data_set, result)) == sorted(
        row["id"] for row in rows_of(alvys, numbers)
    )


def test_documents_that_were_listed_long_ago_are_listed_again(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, land: Land, clock: SkippingClock
) -> None:
    numbers = load_numbers(alvys)[:8]
    gone = alvys.add(stream="load_documents", parent=numbers[0])
    documents = land(path=data_set.path, stream="load_documents", parents=numbers)
    alvys.remove(stream="load_documents", keys=gone)
    clock.sleeps.append(900)
    alvys.set_clock(clock.time())
    result = fetch(parents=documents)
    manifest = json.loads(data_set.file(documents["manifest"]).read_bytes())
    assert result["renewals"] == len([entry for entry in manifest["parents"] if entry["rows"]])
    assert (result["gone"], result["documents"]) == (1, documents["rows"] - 1)
    assert alvys.stats()["requests"][FILES] == result["fetched"]


@pytest.mark.parametrize("url", ["https://169.254.169.254/f", "https://10.0.0.1/f", "http://8.8.8.8/f"])
def test_a_document_at_a_refused_address_is_an_error_and_the_others_are_downloaded(
    url: str, clock: SkippingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"id": f"D{at}", "AttachmentPath": f"x/{at}.pdf", "DownloadUrl": where}
        for at, where in enumerate((f"{url}?sig=x", "{url}/files/1"))
    ]
    with FixedAlvys({"loads/1001/documents": rows}) as fixed:
        monkeypatch.setenv("AIRFLOW_CONN_ALVYS_DEFAULT", fixed.connection())
        with pytest.raises(AlvysDownloadError, match=r"^1 document .* document D0 .*"):
            make_fetch(QuickHook(clock), str(tmp_path))(parents=["1001"])
    assert [name.rpartition("/")[2] for name in fetched_files(DataSet("", tmp_path))] == ["D1-1.pdf"]


def test_a_document_forges_no_log_line(
    clock: SkippingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    forged = "x\n2026-11-30 ERROR \x1b[31mforged\r\u2028"
    row = {"id": forged, "AttachmentPath": f"x/{forged}.pdf", "DownloadUrl": "https://10.0.0.1/f"}
    with FixedAlvys({f"loads/{quote(forged)}/documents": [row]}) as fixed:
        monkeypatch.setenv("AIRFLOW_CONN_ALVYS_DEFAULT", fixed.connection())
        with pytest.raises(AlvysDownloadError) as caught:
            make_fetch(QuickHook(clock), str(tmp_path))(parents=[forged])
    for line in (str(caught.value), *(record.getMessage() for record in caplog.records)):
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line


def test_a_document_that_is_too_long_is_an_error_and_the_others_are_downloaded(
    alvys: Simulator, data_set: DataSet, fetch: Fetch
) -> None:
    number = load_numbers(alvys)[0]
    rows = rows_of(alvys, [number])
    most = max(row["AttachmentSize"] for row in rows)
    for at, size in enumerate((most + 1, None)):
        alvys.add(stream="load_documents", parent=number, columns={"id": f"L{at}", "AttachmentSize": size})
    with pytest.raises(AlvysDownloadError, match=r"^1 document .* document L0 ") as caught:
        fetch(CONTEXT, parents=[number], max_bytes=most)
    assert "max_bytes" in str(caught.value)
    assert len(fetched_files(data_set)) == len(rows) + 1
    assert fetch(CONTEXT, parents=[number], max_bytes=most + 1)["documents"] == len(rows) + 2


def test_documents_of_another_tenant_are_refused(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, land: Land
) -> None:
    documents = land(
        path=data_set.path, stream="load_documents", parents=load_numbers(alvys)[:2], tenant="other"
    )
    with pytest.raises(AlvysValueError, match="contains load_documents of other"):
        fetch(parents=documents)


def test_nothing_secret_is_logged_or_stored(
    alvys: Simulator, data_set: DataSet, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    alvys.reset(loads=20)
    number = load_numbers(alvys)[0]
    alvys.add(stream="load_documents", parent=number, rows=4)
    alvys.order_faults(
        {"kind": "reset", "endpoint": FILES},
        {"kind": "status", "status": 503, "endpoint": FILES},
        {"kind": "truncate", "endpoint": FILES, "skip": 2},
        {"kind": "status", "status": 500, "endpoint": FILES, "times": 99, "skip": 3},
    )
    with caplog.at_level(logging.DEBUG), pytest.raises(AlvysDownloadError) as caught:
        fetch(CONTEXT, parents=[number])
    assert "/storage/load_documents/" in caplog.text
    chain: list[BaseException] = [caught.value]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    kept = b"".join(
        file.read_bytes() for file in data_set.files().rglob("*") if file.suffix in (".json", ".jsonl")
    )
    assert kept
    for text in (caplog.text, kept.decode(), *(repr(error) for error in chain)):
        assert "X-Signature" not in text
        assert "X-Expires" not in text


def test_memory_is_bounded_by_a_chunk_not_by_the_file(
    alvys: Simulator, hook: QuickHook, tmp_path: Path
) -> None:
    number = load_numbers(alvys)[0]
    alvys.add(
        stream="load_documents", parent=number, columns={"id": "big", "AttachmentSize": 25 * 1024 * 1024}
    )
    fetch = make_fetch(hook, str(tmp_path / "lake"))
    fetch(parents=load_numbers(alvys)[1:2])
    tracemalloc.start()
    try:
        result = fetch(parents=[number])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result["bytes"] > 25 * 1024 * 1024
    assert peak < 3 * 1024 * 1024


def test_it_defers_at_each_wait_and_lists_each_parent_once(
    alvys: Simulator, data_set: DataSet, clock: SkippingClock, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(requests_per_minute=None)
    numbers = load_numbers(alvys)[:25]
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysDocumentsToObjectStorageOperator,
        parent_type="load",
        parents=numbers,
        path=data_set.path,
        deferrable=True,
        defer_after=5,
    )
    result = worker.run()
    assert len(worker.waits) == 2
    made = alvys.stats()["requests"]
    assert (made[LISTS], made[FILES], result["parents"]) == (25, result["documents"], 25)
    assert result["requests"] == 25
    assert result["waited"] == pytest.approx(sum(clock.sleeps), abs=0.01)
    assert result["seconds"] >= sum(worker.waits)
    check_whole(alvys, data_set, result, rows_of(alvys, numbers))


def test_it_defers_while_it_renews_a_url_and_takes_no_document_twice(
    alvys: Simulator, data_set: DataSet, clock: SkippingClock, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each document costs a list.
    alvys.reset(loads=450, url_lifetime=20)
    connect(requests_per_minute=None)
    number, other = load_numbers(alvys)[:2]
    alvys.add(stream="load_documents", parent=number, rows=25)
    worker = Worker(
        alvys,
        monkeypatch,
        clock,
        AlvysDocumentsToObjectStorageOperator,
        parent_type="load",
        parents=[number, other],
        path=data_set.path,
        deferrable=True,
        defer_after=5,
    )
    result = worker.run()
    rows = rows_of(alvys, [number, other])
    assert len(worker.waits) >= 2
    assert (result["renewals"], result["fetched"], result["already_there"]) == (len(rows), len(rows), 0)
    assert sorted(row["id"] for row in index_of(data_set, result)) == sorted(row["id"] for row in rows)


def test_an_unwritable_file_stops_a_download(
    alvys: Simulator, hook: QuickHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documents").write_bytes(b"in the way")
    with pytest.raises(AlvysStorageError):
        make_fetch(hook, str(tmp_path))(parents=load_numbers(alvys)[:1])


def test_events_and_skips(alvys: Simulator, hook: QuickHook, tmp_path: Path) -> None:
    path = str(tmp_path / "lake")
    asset = alvys_documents_asset("load", path)
    assert asset.name == f"{path}/documents/load"
    event = SimpleNamespace(extra=None)
    operator = AlvysDocumentsToObjectStorageOperator(
        task_id="fetch", parent_type="load", parents=load_numbers(alvys)[:2], path=path, outlets=[asset]
    )
    operator.hook = hook
    result = operator.execute({"outlet_events": {asset: event}})  # type: ignore[arg-type]
    assert event.extra == result
    with pytest.raises(AirflowSkipException):
        make_fetch(hook, path)(parents=["7"], skip_when_empty=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"parent_type": "invoice"}, "parent_type='invoice' has no documents.*trailer"),
        ({"parents": None}, "are read per row of loads: give parents"),
        ({"parents": "1001"}, "parents='1001'"),
        ({"parents": [""]}, "LoadNumber"),
        (
            {"parents": [{"stream": "trips", "manifest": "/x/_manifest.json"}]},
            "not the output of a sync of loads",
        ),
        ({"document_types": b"POD"}, "document_types"),
        ({"document_types": []}, "document_types"),
        ({"document_types": [" "]}, "document_types"),
        ({"path": "lake"}, "is relative"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_bytes": "2 GiB"}, "max_bytes"),
    ],
)
def test_wrong_arguments_are_refused_while_the_dag_is_parsed(arguments: dict[str, Any], says: str) -> None:
    given = {"parent_type": "load", "parents": ["1001"], "path": "/lake", **arguments}
    with pytest.raises(AlvysValueError, match=says):
        AlvysDocumentsToObjectStorageOperator(task_id="fetch", **given)


@pytest.mark.parametrize(
    "parents",
    [
        ["1001"],
        ["{{ x }}"],
        "{{ x }}",
        RecentParents(),
        [{"stream": "load_documents", "manifest": "/x/_manifest.json"}],
    ],
)
def test_valid_parents_are_accepted(parents: Any) -> None:
    AlvysDocumentsToObjectStorageOperator(
        task_id="fetch", parent_type="load", parents=parents, path="/lake/{{ ds }}"
    )


def test_a_long_download_logs_its_progress(
    alvys: Simulator,
    connect: Callable[..., None],
    hook: QuickHook,
    lake: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect(requests_per_minute=None)
    caplog.set_level(logging.INFO)
    result = make_fetch(hook, str(lake))(parents=load_numbers(alvys)[:40])
    lines = [record.getMessage() for record in caplog.records if "airflow_provider_alvys" in record.name]
    progress = [line.split(", ") for line in lines if line.startswith("Downloaded ") and " lists" in line]
    assert len(progress) >= 3
    done = [int(figures[0].split()[1]) for figures in progress]
    assert done == sorted(done)
    assert all(figures[-1].endswith(" left") for figures in progress[:-1])
    documents = f"{result['documents']} documents"
    assert f"Listed {documents} of 40 parents" in lines
    assert lines[-1] == f"Index: {result['index']}"
    assert [line for line in lines if len(line) > 120 and not line.startswith("Index: ")] == []
