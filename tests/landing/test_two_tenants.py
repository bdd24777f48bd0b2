"""Two tenants on one path, with equal ids, tasks and runs: two Airflows with the same DAGs have them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_alvys import (
    AlvysDocumentsToObjectStorageOperator,
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
    RecentParents,
)
from airflow_provider_alvys.api.documents.listing import document_stream_of
from airflow_provider_alvys.api.errors import AlvysDownloadError, AlvysValueError
from airflow_provider_alvys.landing.dataset.layout import fingerprint
from airflow_provider_alvys.landing.dataset.pace_file import PACE_FILE
from airflow_provider_alvys.landing.jobs.document_checkpoint import DocumentSpec
from airflow_provider_alvys.transfers.first_load import AlvysHandOverOperator
from tests.conftest import QuickHook, SkippingClock
from tests.contracts.fixed_alvys import FixedAlvys
from tests.lake import read_lines

TENANTS = ("acme", "bluebird")
UNTIL = "2026-03-02T00:00:00Z"
CONTEXT: Any = {"run_id": "run", "ti": SimpleNamespace(dag_id="dag", task_id="task", map_index=-1)}

Run = Callable[..., Any]


def rows_of(tenant: str) -> dict[str, list[Any]]:
    """Return rows and documents with the same ids and sizes for each tenant."""
    stamp = {"CreatedAt": "2026-02-20T08:00:00+00:00", "UpdatedAt": "2026-02-20T08:00:00+00:00"}
    named = {"Id": "X1", "Name": f"of {tenant}", **stamp}
    documents = [
        {
            "id": f"D{at}",
            "AttachmentPath": "x/pod.pdf",
            "AttachmentType": "POD",
            "AttachmentSize": 20,
            "UploadedBy": f"of {tenant}",
            "UploadedAt": "2026-02-20T08:00:00+00:00",
            "DownloadUrl": f"{{url}}/files/{at}",
        }
        for at in (1, 2)
    ]
    loads = [{**named, "LoadNumber": "1001", "Status": "Delivered", "DeliveredAt": UNTIL}]
    return {
        "loads/search": loads,
        "loads/1001/documents": documents,
        "customers/search": [named],
        "carriers/search": [named],
    }


@pytest.fixture
def alvys(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FixedAlvys]]:
    with ExitStack() as stack:
        servers = {
            tenant: stack.enter_context(FixedAlvys(rows_of(tenant), f"of {tenant}".ljust(20).encode()))
            for tenant in TENANTS
        }
        for tenant, server in servers.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{tenant.upper()}", server.connection())
        yield servers


def execute(operator_class: Any, tenant: str, path: str, clock: SkippingClock, **arguments: Any) -> Any:
    operator = operator_class(task_id="task", alvys_conn_id=tenant, path=path, **arguments)
    operator.hook = QuickHook(clock, tenant)
    return operator.execute(CONTEXT)


def sync(**arguments: Any) -> Run:
    return lambda *where: execute(AlvysToObjectStorageOperator, *where, **arguments)


def hand_over(tenant: str, path: str, clock: SkippingClock) -> Any:
    given = {"begun": "2026-03-01T00:00:00Z", "total": 1, "landed": []}
    return execute(AlvysHandOverOperator, tenant, path, clock, stream="loads", **given)


def documents_of_synced_loads(tenant: str, path: str, clock: SkippingClock) -> Any:
    loads = JOBS["sync"](tenant, path, clock)
    return [loads, fetch(tenant, path, clock, parents=loads)]


def fetch(tenant: str, path: str, clock: SkippingClock, parents: Any = ("1001",)) -> Any:
    parents = list(parents) if isinstance(parents, tuple) else parents
    return execute(
        AlvysDocumentsToObjectStorageOperator, tenant, path, clock, parent_type="load", parents=parents
    )


JOBS: dict[str, Run] = {
    "sync": sync(stream="loads", initial_since="2026-01-01T00:00:00Z", until=UNTIL),
    "window": sync(stream="loads", since="2026-01-01T00:00:00Z", until=UNTIL, file_format="parquet"),
    "whole": sync(stream="customers"),
    "parents": sync(stream="load_documents", parents=["1001"]),
    "sweep": lambda *where: execute(
        AlvysSweepToObjectStorageOperator, *where, streams=["customers", "carriers"]
    ),
    "initial load": hand_over,
    "documents": fetch,
    "documents of a sync": documents_of_synced_loads,
    "recent parents": lambda *where: [
        JOBS["sync"](*where),
        sync(stream="load_documents", parents=RecentParents(days=99999, where={}))(*where),
    ],
}


def contents(lake: Path) -> dict[str, bytes]:
    files = {str(file.relative_to(lake)): file for file in lake.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if name != PACE_FILE}


def check_own(lake: Path, files: dict[str, bytes], tenant: str) -> None:
    """Check that files name a tenant, contain its rows only, and refer to no other files."""
    other = next(name for name in TENANTS if name != tenant)
    assert files
    for name, content in files.items():
        assert other.encode() not in content, name
        if name.endswith("_manifest.json"):
            assert json.loads(content)["tenant"] == tenant
            assert all(f"of {tenant}".encode() in line for line in read_lines(lake / name))
        if name.endswith(".jsonl") and "/_index/" in name:
            named = [json.loads(line)["name"] for line in content.splitlines()]
            assert named
            assert set(named) <= set(files)
        if name.endswith(".pdf"):
            assert content == f"of {tenant}".ljust(20).encode()


@pytest.mark.parametrize("job", JOBS)
def test_each_tenant_has_files_of_its_own(
    alvys: dict[str, FixedAlvys], tmp_path: Path, clock: SkippingClock, job: str
) -> None:
    first, second = TENANTS
    result = JOBS[job](first, str(tmp_path), clock)
    before = contents(tmp_path)
    check_own(tmp_path, before, first)
    other = JOBS[job](second, str(tmp_path), clock)
    after = contents(tmp_path)
    # No file of the first one is replaced.
    assert {name: after[name] for name in before} == before
    check_own(tmp_path, {name: after[name] for name in after.keys() - before.keys()}, second)
    assert second not in json.dumps(result).replace(str(tmp_path), "")
    assert first not in json.dumps(other).replace(str(tmp_path), "")


def test_an_interrupted_download_resumes_with_the_files_of_its_tenant(
    alvys: dict[str, FixedAlvys], tmp_path: Path, clock: SkippingClock
) -> None:
    first, second = TENANTS
    alvys[first].broken.add("/files/2")
    with pytest.raises(AlvysDownloadError):
        fetch(first, str(tmp_path), clock)
    before = contents(tmp_path)
    fetch(second, str(tmp_path), clock)
    alvys[first].broken.clear()
    result = fetch(first, str(tmp_path), clock)
    assert [path for path, _ in alvys[first].requests].count("/files/1") == 1
    after = contents(tmp_path)
    own = {name: after[name] for name in after if f"tenant={first}/" in name}
    check_own(tmp_path, own, first)
    assert before.keys() <= own.keys()
    assert result["documents"] == 2


def test_a_first_load_takes_no_results_of_another_tenant(
    alvys: dict[str, FixedAlvys], tmp_path: Path, clock: SkippingClock
) -> None:
    first, second = TENANTS
    landed = JOBS["sync"](first, str(tmp_path), clock)
    with pytest.raises(AlvysValueError, match=first):
        execute(
            AlvysHandOverOperator,
            second,
            str(tmp_path),
            clock,
            stream="loads",
            begun=UNTIL,
            total=1,
            landed=[landed],
        )


def write_as_earlier_version(lake: Path, tenant: str, parents: Any, run_id: str, ids: list[str]) -> None:
    """Write what a download of version 0.2.0 leaves: names and files without the tenant."""
    folder = lake / "documents" / "load"
    identity = {"dag_id": "dag", "task_id": "task", "map_index": -1, "run_id": run_id}
    run_hash = fingerprint(identity)
    spec = DocumentSpec("load", document_stream_of("load"), tenant, parents)
    lines = []
    for id in ids:
        name = f"documents/load/1001/{id}-pod.pdf"
        file = lake / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"of {tenant}".ljust(20).encode())
        about = {"id": id, "type": "POD", "parent": "1001", "name": name, "file_name": "pod.pdf"}
        lines.append(json.dumps({**about, "size": 20, "uploaded_at": "2026-02-20T08:00:00+00:00"}))
    for part in ("_index", "_runs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "_index" / f"{run_hash}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = {"version": 1, "identity": identity, "package": "0.1.0", "asked": spec.fingerprint(str(lake))}
    run |= {"state": "fetched", "parents": ["1001"], "listed": 1, "search": None, "done": [], "pending": []}
    (folder / "_runs" / f"{run_hash}.json").write_text(json.dumps(run))


@pytest.mark.parametrize("parents", ["list", "sync", "recent", "other list"])
def test_documents_of_an_earlier_version_are_found_by_their_tenant_only(
    alvys: dict[str, FixedAlvys], tmp_path: Path, clock: SkippingClock, parents: str
) -> None:
    first, second = TENANTS
    loads = JOBS["sync"](first, str(tmp_path), clock)
    earlier = {"list": ["1001"], "sync": loads, "recent": RecentParents(99999, {}), "other list": ["1001"]}
    write_as_earlier_version(tmp_path, first, earlier[parents], "earlier", ["D1"])
    # The parents of the next run are given in the same way; what an earlier sync gave is found, too.
    now = {"recent": RecentParents(99999, {}), "list": ["1001"]}.get(parents, loads)
    for tenant, found in ((second, 0), (first, 1)):
        given = now if tenant == first else ["1001"]
        result = fetch(tenant, str(tmp_path), clock, parents=given)
        assert (result["already_there"], result["fetched"]) == (found, 2 - found)
        names = [json.loads(line)["name"] for line in Path(result["index"]).read_bytes().splitlines()]
        assert ("documents/load/1001/D1-pod.pdf" in names) == bool(found)
        for name in names:
            assert (tmp_path / name).read_bytes() == f"of {tenant}".ljust(20).encode()


@pytest.mark.parametrize("reason", ["both list it", "its size has changed", "it is gone"])
def test_an_earlier_document_that_may_be_of_another_tenant_is_downloaded_again(
    alvys: dict[str, FixedAlvys], tmp_path: Path, clock: SkippingClock, reason: str
) -> None:
    first, second = TENANTS
    write_as_earlier_version(tmp_path, first, ["1001"], "earlier", ["D1", "D2"])
    file = tmp_path / "documents/load/1001/D1-pod.pdf"
    if reason == "both list it":
        write_as_earlier_version(tmp_path, second, ["1001"], "later", ["D1"])
    elif reason == "it is gone":
        file.unlink()
    else:
        file.write_bytes(b"cut")
    result = fetch(first, str(tmp_path), clock)
    assert (result["already_there"], result["fetched"]) == (1, 1)
    names = [json.loads(line)["name"] for line in Path(result["index"]).read_bytes().splitlines()]
    assert names == [f"documents/load/tenant={first}/1001/D1-pod.pdf", "documents/load/1001/D2-pod.pdf"]
