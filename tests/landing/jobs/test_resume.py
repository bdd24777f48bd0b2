"""A retried or deferred task resumes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysServerError, AlvysStorageError
from airflow_provider_alvys.api.http import auth
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.read.windows import format_time
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs import checkpoint as landing_run
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.transfers.alvys_to_object_storage import (
    AlvysSweepToObjectStorageOperator,
    AlvysToObjectStorageOperator,
)
from tests.conftest import DataSet, Land, QuickHook, SkippingClock
from tests.lake import cursors, ids, manifests, read_lines, read_manifest

pytestmark = [pytest.mark.every_airflow, pytest.mark.slow]

SEARCH = "POST loads/search"
# Fixed once: every attempt and every comparison reads this.
WINDOW = {"since": "2020-01-01T00:00:00Z", "until": "2030-01-01T00:00:00Z", "window_by": "created"}


class Killed(BaseException):
    """A simulated SIGKILL: no code runs after this."""


def run(run_id: str = "run", map_index: int = -1) -> dict[str, Any]:
    return {"run_id": run_id, "ti": SimpleNamespace(dag_id="dag", task_id="land", map_index=map_index)}


def requests(alvys: Simulator) -> int:
    return alvys.stats()["requests"].get(SEARCH, 0)


@pytest.fixture
def kill_at_request(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Kill this process at a later request; 1 is the next."""
    call = AlvysClient.call
    left = [0]

    def dying(client: AlvysClient, method: str, path: str, **arguments: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return call(client, method, path, **arguments)

    monkeypatch.setattr(AlvysClient, "call", dying)
    return lambda number: left.__setitem__(0, number)


def bare(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part without its name, which depends on the process."""
    return {name: value for name, value in part.items() if name != "name"}


def parts_of(manifest: str | Path) -> list[dict[str, Any]]:
    return read_manifest(manifest)["parts"]


@pytest.mark.parametrize(
    ("page_size", "part_rows", "lost", "file_format"),
    [
        pytest.param(5, None, 20, "jsonl", id="default parts"),
        pytest.param(5, 50, 10, "jsonl", id="parts of 10 pages"),
        pytest.param(20, 100, 5, "parquet", id="Parquet"),
    ],
)
def test_a_kill_at_sixty_percent_costs_at_most_one_part(
    alvys: Simulator,
    land: Land,
    data_set: DataSet,
    kill_at_request: Callable[[int], None],
    page_size: int,
    part_rows: int | None,
    lost: int,
    file_format: str,
) -> None:
    alvys.reset(loads=500)
    arguments = {
        **WINDOW,
        # After the last row, and past: `as_of` is that of the undisturbed run.
        "until": "2026-11-25T00:00:00Z",
        "path": data_set.path,
        "page_size": page_size,
        "part_rows": part_rows,
        "file_format": file_format,
    }
    undisturbed = data_set.file(land(run("other"), **arguments)["manifest"])
    parts, model = parts_of(undisturbed), read_manifest(undisturbed)
    before = requests(alvys)
    pages = 500 // page_size
    kill_at_request(pages * 6 // 10 + 1)
    with pytest.raises(Killed):
        land(run(), **arguments)
    result = land(run(), **arguments)
    # A window by creation can grow, so page 0 is read again at the end.
    assert pages + 1 <= requests(alvys) - before <= pages + 1 + lost
    manifest = read_manifest(data_set.file(result["manifest"]))
    assert [bare(part) for part in manifest["parts"]] == [bare(part) for part in parts]
    differing = {name for name in model if manifest[name] != model[name]}
    assert differing <= {"read_from", "read_until", "seconds", "requests", "parts"}
    assert ids(read_lines(data_set.file(result["manifest"]))) == set(alvys.truth_keys())
    assert len(manifests(data_set.files())) == 2


class Storm:
    """Kill this process before or after a later write; 1 is the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self._kill_at: tuple[int, bool] | None = None
        for name in ("put", "remove"):
            monkeypatch.setattr(Store, name, self._strike(getattr(Store, name)))

    def at(self, number: int, *, after: bool) -> None:
        self.writes = 0
        self._kill_at = (number, after)

    def over(self) -> None:
        self._kill_at = None

    def _strike(self, write: Callable[..., None]) -> Callable[..., None]:
        def struck(store: Store, *arguments: Any) -> None:
            self.writes += 1
            if self._kill_at == (self.writes, False):
                raise Killed
            write(store, *arguments)
            if self._kill_at == (self.writes, True):
                raise Killed

        return struck


def kills(storm: Storm, work: Callable[[], Any]) -> Iterator[Any]:
    """Yield after each kill, before and after each write, until the work ends."""
    number = 0
    while True:
        number += 1
        for after in (False, True):
            storm.at(number, after=after)
            try:
                work()
            except Killed:
                storm.over()
                yield number, after
            else:
                storm.over()
                return


def test_a_kill_between_any_two_writes_loses_nothing(
    alvys: Simulator, land: Land, data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = Storm(monkeypatch)
    arguments = {"page_size": 50, "part_rows": 100, "settling": 0}
    names = iter(range(1000))
    this = [data_set]

    def work() -> None:
        this[0] = data_set.below(str(next(names)))
        land(run(), path=this[0].path, **arguments)

    count = 0
    for _ in kills(storm, work):
        count += 1
        result = land(run(), path=this[0].path, **arguments)
        path = this[0].files()
        landed = path / result["manifest"].removeprefix(f"{this[0].path}/")
        assert ids(read_lines(landed)) == set(alvys.truth_keys())
        # An existing manifest is correct, whichever attempt wrote it.
        for manifest in manifests(path):
            assert len(read_lines(manifest)) == 450
        assert list(cursors(path).values()) == [result["until"]]
    # 5 parts and run files, the pace, the manifest, the cursor: before and after each.
    assert count >= 24


def test_after_the_last_page_the_next_attempt_sends_no_search(
    alvys: Simulator, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = Storm(monkeypatch)
    # Two searches, whose totals were compared at the end.
    arguments = {"stream": "drivers", "window_by": None, "initial_since": None}
    land(run("undisturbed"), **arguments)
    last = storm.writes
    storm.at(last, after=False)
    with pytest.raises(Killed):
        land(run(), **arguments)
    storm.over()
    before = alvys.stats()["requests"]
    result = land(run(), **arguments)
    assert alvys.stats()["requests"] == before
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(stream="drivers"))


def test_the_next_attempt_also_finds_rows_that_moved_between_searches(
    alvys: Simulator, land: Land, kill_at_request: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A driver becomes active after the active ones were read; a kill comes while they are read again."""
    alvys.reset(loads=0, fleet=400)
    inactive = json.loads(alvys.truth_rows(stream="drivers", filters=json.dumps({"IsActive": False}))[-1])
    arguments = {
        "stream": "drivers",
        "window_by": None,
        "initial_since": None,
        "page_size": 20,
        "part_rows": 20,
    }
    undisturbed = read_manifest(land(run("undisturbed"), **arguments)["manifest"])
    first, second = (search["total"] for search in undisturbed["searches"])
    pages = [-(-total // 20) + 1 for total in (first, second)]
    kill_at_request(pages[0] + 2)
    with pytest.raises(Killed):
        land(run(), **arguments)
    alvys.change(stream="drivers", keys=[inactive["Id"]], columns={"IsActive": True})
    # The total again, and then within the set that is read again.
    kill_at_request(pages[1] + 1 + pages[0] // 2)
    with pytest.raises(Killed):
        land(run(), **arguments)
    moved = "rows moved between searches; reading 1 again"
    assert caplog.text.count(moved) == 1
    result = land(run(), **arguments)
    # The set that the driver left is read again, too.
    assert caplog.text.count(moved) == 2
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys(stream="drivers"))
    assert result["proof"] == "whole"
    assert read_manifest(result["manifest"])["attempt"] == 1


def test_a_full_disk_at_any_write_is_a_clear_error_and_the_next_attempt_succeeds(
    alvys: Simulator, land: Land, data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"page_size": 50, "part_rows": 100, "settling": 0}
    number, count, full = 0, 0, 0
    errors: list[str] = []
    write = Store._write

    def fail(store: Store, target: str, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == full and not target.endswith("_pace.json"):
            raise OSError(28, "No space left on device")
        write(store, target, content)

    monkeypatch.setattr(Store, "_write", fail)
    for number in range(1, 100):
        this = data_set.below(str(number))
        count, full = 0, number
        try:
            land(run(), path=this.path, **arguments)
        except AlvysStorageError as error:
            errors.append(str(error))
            for manifest in manifests(this.files()):
                assert len(read_lines(manifest)) == 450
        if count < number:
            break
        full = 0
        result = land(run(), path=this.path, **arguments)
        assert ids(read_lines(this.file(result["manifest"]))) == set(alvys.truth_keys())
        assert max(cursors(this.files()).values()) == result["until"]
    assert number > 12
    assert len(errors) >= 11
    assert all(re.search(r"cannot be written: .*No space left", text) for text in errors)


def test_an_unwritable_path_is_a_clear_error_and_the_next_attempt_succeeds(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    lake.write_text("a file where the folder should be")
    with pytest.raises(AlvysStorageError, match="cannot be read: .*Not a directory"):
        land(run())
    lake.unlink()
    assert ids(read_lines(land(run())["manifest"])) == set(alvys.truth_keys())


def test_a_deleted_bucket_is_a_clear_error_and_the_next_attempt_succeeds(
    alvys: Simulator, land: Land, bucket: Any, kill_at_request: Callable[[int], None]
) -> None:
    path = "s3://aws_lake@gone/alvys"
    with pytest.raises(AlvysStorageError, match=f"{path}/.* cannot be read: .*bucket does not exist"):
        land(run(), path=path)
    bucket.create_bucket(Bucket="gone")
    result = land(run(), path=path)
    assert result["rows"] == 450


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_an_hour_off_lands_the_right_rows(
    alvys: Simulator,
    hook: QuickHook,
    land: Land,
    clock: SkippingClock,
    hours: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock.sleeps.append(hours * 3600)
    result = land(run("1"), settling=0)
    assert ids(read_lines(result["manifest"])) == set(
        alvys.truth_keys(since=result["since"], until=result["until"])
    )
    # The next worker's clock is right.
    monkeypatch.setattr(hook, "_client", None)
    monkeypatch.setattr(auth, "_sources", {})
    clock.sleeps[:] = [10]
    alvys.set_clock(clock.time())
    changed = alvys.change(rows=5, at=format_time(datetime.fromtimestamp(clock.time() - 5, timezone.utc)))
    later = land(run("2"), settling=0)
    assert set(changed) <= ids(read_lines(later["manifest"]))
    landed = ids(read_lines(result["manifest"])) | ids(read_lines(later["manifest"]))
    assert landed == set(alvys.truth_keys())


@pytest.mark.parametrize(
    ("file_format", "compression"),
    [("jsonl", None), ("jsonl", "gzip"), ("parquet", None), ("parquet", "zstd")],
)
def test_a_retry_resumes_after_an_error(
    alvys: Simulator, land: Land, lake: Path, file_format: str, compression: str | None
) -> None:
    alvys.reset(loads=500)
    arguments = {**WINDOW, "page_size": 50, "file_format": file_format, "compression": compression}
    undisturbed = parts_of(land(run("undisturbed"), **arguments)["manifest"])
    before = requests(alvys)
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": SEARCH, "skip": 4, "times": 6})
    with pytest.raises(AlvysServerError):
        land(run(), **arguments)
    assert requests(alvys) - before == 4 + 6
    result = land(run(), **arguments)
    # No answered page is requested again, though its part was not full.
    assert requests(alvys) - before == 11 + 6
    # The part that the error ended early is filled up, byte for byte.
    assert list(map(bare, parts_of(result["manifest"]))) == list(map(bare, undisturbed))
    assert [part["rows"] for part in undisturbed] == [500]
    assert ids(read_lines(result["manifest"])) == set(alvys.truth_keys())


@pytest.mark.parametrize(
    "changed",
    [
        {"filters": {"Status": ["Open"]}},
        {"compression": "gzip"},
        {"file_format": "parquet"},
        {"page_size": 60},
        {"until": "2029-01-01T00:00:00Z"},
        {"window_by": "updated"},
    ],
    ids=str,
)
def test_a_task_that_was_changed_starts_over(
    alvys: Simulator,
    land: Land,
    data_set: DataSet,
    kill_at_request: Callable[[int], None],
    changed: dict[str, Any],
) -> None:
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 50}
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(), **arguments)
    result = land(run(), **{**arguments, **changed})
    manifest = read_manifest(data_set.file(result["manifest"]))
    assert manifest["attempt"] == 2
    expected = alvys.truth_keys(filters=json.dumps({"IncludeDeleted": True, **changed.get("filters", {})}))
    assert ids(read_lines(data_set.file(result["manifest"]))) == set(expected)


def test_a_template_that_renders_differently_at_a_retry_reads_the_first_window(
    alvys: Simulator, land: Land, data_set: DataSet, kill_at_request: Callable[[int], None]
) -> None:
    arguments = {
        "path": data_set.path,
        "since": "2020-01-01T00:00:00Z",
        "until": "{{ x }}",
        "page_size": 50,
        "part_rows": 50,
    }
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(), rendered="2030-01-01T00:00:00Z", **arguments)
    result = land(run(), rendered="2031-01-01T00:00:00Z", **arguments)
    assert result["until"] == "2030-01-01T00:00:00Z"
    assert read_manifest(data_set.file(result["manifest"]))["attempt"] == 1


@pytest.mark.parametrize("damage", ["cut", "other bytes", "gone"])
def test_a_changed_part_is_not_used(
    alvys: Simulator, land: Land, data_set: DataSet, kill_at_request: Callable[[int], None], damage: str
) -> None:
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 50}
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(), **arguments)
    part = max(data_set.files().rglob("part-*"))
    content = part.read_bytes()
    data_set.write(
        part, None if damage == "gone" else content[:-1] + (b"x" if damage == "other bytes" else b"")
    )
    result = land(run(), **arguments)
    assert read_manifest(data_set.file(result["manifest"]))["attempt"] == 2
    assert ids(read_lines(data_set.file(result["manifest"]))) == set(alvys.truth_keys())


def test_files_written_after_the_last_checkpoint_are_removed(
    alvys: Simulator, land: Land, data_set: DataSet, kill_at_request: Callable[[int], None]
) -> None:
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 100}
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(), **arguments)
    (folder,) = {part.parent for part in data_set.files().rglob("part-*")}
    data_set.write(folder / "part-00099.jsonl", b"{}\n")
    # read_lines compares the folder with the manifest.
    assert len(read_lines(data_set.file(land(run(), **arguments)["manifest"]))) == 450


def test_no_manifest_is_written_if_a_part_is_missing(
    alvys: Simulator, land: Land, data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 100}
    save = landing_run.RunFile.save
    count = [0]

    def vanishing(file: Any, progress: Any) -> None:
        save(file, progress)
        count[0] += 1
        if count[0] == 5:
            data_set.write(min(data_set.files().rglob("part-*")), None)

    monkeypatch.setattr(landing_run.RunFile, "save", vanishing)
    with pytest.raises(AlvysStorageError, match="no bytes of"):
        land(run(), **arguments)
    assert manifests(data_set.files()) == []
    assert ids(read_lines(data_set.file(land(run(), **arguments)["manifest"]))) == set(alvys.truth_keys())


def test_parts_are_as_large_after_a_kill_though_pages_have_become_smaller(
    alvys: Simulator, land: Land, kill_at_request: Callable[[int], None]
) -> None:
    # Two searches: in the second one, all pages are small from the start.
    alvys.reset(loads=0, fleet=3000, page_size_cap=5)
    arguments = {"stream": "drivers", "initial_since": None, "page_size": 10}
    first = read_manifest(land(run("undisturbed"), **arguments)["manifest"])["searches"][0]
    kill_at_request(first["total"] // 5 + 30)
    with pytest.raises(Killed):
        land(run(), **arguments)
    rows = [part["rows"] for part in parts_of(land(run(), **arguments)["manifest"])]
    assert sum(rows) == 3000
    assert all(200 <= count < 205 for count in rows[:-1])


def test_after_a_failed_proof_the_next_attempt_starts_over(alvys: Simulator, land: Land) -> None:
    alvys.order_mutations({"kind": "join", "rows": 1, "skip": 1})
    with pytest.raises(AlvysIncompleteError) as caught:
        land(run(), since="2020-01-01T00:00:00Z", until="2026-11-01T00:00:00Z", page_size=20)
    assert caught.value.passes == 3
    assert caught.value.rows
    alvys.order_mutations()
    result = land(run(), since="2020-01-01T00:00:00Z", until="2026-11-01T00:00:00Z", page_size=20)
    assert (read_manifest(result["manifest"])["attempt"], result["proof"]) == (2, "whole")


def test_a_process_presumed_dead_cannot_write(
    alvys: Simulator, land: Land, data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging worker is presumed dead; when it wakes up, another one has resumed its run."""
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 100}
    call = AlvysClient.call
    count = [0]

    def hanging(client: AlvysClient, method: str, path: str, **options: Any) -> Any:
        count[0] += 1
        if count[0] == 5:
            results.append(land(run(), **arguments))
        return call(client, method, path, **options)

    results: list[dict[str, Any]] = []
    monkeypatch.setattr(AlvysClient, "call", hanging)
    with pytest.raises(AlvysStorageError, match="belongs to another process"):
        land(run(), **arguments)
    assert ids(read_lines(data_set.file(results[0]["manifest"]))) == set(alvys.truth_keys())
    assert len(manifests(data_set.files())) == 1


def test_a_process_presumed_dead_does_not_take_its_run_back_when_it_fails(
    alvys: Simulator, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only has progress to write, which is behind that of the new process."""
    arguments = {**WINDOW, "page_size": 50, "part_rows": 100}
    call = AlvysClient.call
    count = [0]
    taken: list[str] = []

    def failing(client: AlvysClient, method: str, path: str, **options: Any) -> Any:
        count[0] += 1
        if count[0] < 5:
            return call(client, method, path, **options)
        (run_file,) = (lake / "loads" / "_runs").iterdir()
        taken.append(run_file.read_text().replace('"claim": "', '"claim": "newer'))
        run_file.write_text(taken[0])
        raise AlvysServerError("as ordered", status_code=500)

    monkeypatch.setattr(AlvysClient, "call", failing)
    with pytest.raises(AlvysStorageError, match="belongs to another process"):
        land(run(), **arguments)
    (run_file,) = (lake / "loads" / "_runs").iterdir()
    assert run_file.read_text() == taken[0]


def test_a_write_that_hangs_does_not_change_files_of_the_next_attempt(
    alvys: Simulator, land: Land, data_set: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network stalls so long that the task is presumed dead; then the bytes arrive."""
    arguments = {**WINDOW, "path": data_set.path, "page_size": 50, "part_rows": 100}
    put = Store.put
    late: list[Any] = []

    def hanging(store: Store, name: str, content: bytes) -> None:
        if "part-00002" in name and not late:
            late.append((store, name, content))
            alvys.change(rows=20)
            results.append(land(run(), **arguments))
            put(store, name, content)
            raise Killed
        put(store, name, content)

    results: list[dict[str, Any]] = []
    monkeypatch.setattr(Store, "put", hanging)
    with pytest.raises(Killed):
        land(run(), **arguments)
    monkeypatch.setattr(Store, "put", put)
    manifest = data_set.file(results[0]["manifest"])
    for part in parts_of(manifest):
        content = (manifest.parent / part["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])


@pytest.mark.parametrize(("package", "attempt"), [("0.1.0", 1), ("0.2.0", 1), ("99.0", 2)])
def test_a_run_of_a_version_with_the_same_reading_order_is_resumed(
    alvys: Simulator,
    land: Land,
    lake: Path,
    kill_at_request: Callable[[int], None],
    package: str,
    attempt: int,
) -> None:
    arguments = {"page_size": 50, "part_rows": 50}
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(), **arguments)
    written_by(lake, package)
    assert read_manifest(land(run(), **arguments)["manifest"])["attempt"] == attempt


def written_by(lake: Path, package: str) -> Path:
    """Change the version in the run file."""
    (run_file,) = (lake / "loads" / "_runs").iterdir()
    run_file.write_text(json.dumps(json.loads(run_file.read_text()) | {"package": package}))
    return run_file


def test_a_run_that_another_version_has_ended_keeps_its_window(
    alvys: Simulator, land: Land, lake: Path
) -> None:
    arguments = {"page_size": 50, "part_rows": 50}
    result = land(run(), **arguments)
    run_file = written_by(lake, "99.0")
    again = land(run(), **arguments)
    assert (again["since"], again["until"]) == (result["since"], result["until"])
    assert read_manifest(again["manifest"])["attempt"] == 2
    # A file of another version that this one cannot read.
    run_file.write_text('{"version": 2, "package": "101.0"}')
    assert land(run(), **arguments)["proof"] == "whole"
    run_file.write_text("{")
    with pytest.raises(AlvysStorageError, match="is damaged"):
        land(run(), **arguments)


def test_a_mapped_task_never_resumes_the_run_of_another(
    alvys: Simulator, land: Land, kill_at_request: Callable[[int], None]
) -> None:
    arguments = {**WINDOW, "page_size": 50, "part_rows": 50}
    kill_at_request(5)
    with pytest.raises(Killed):
        land(run(map_index=0), **arguments)
    before = requests(alvys)
    other = land(run(map_index=1), **arguments)
    assert requests(alvys) - before == 10
    assert Path(other["manifest"]).parent != Path(land(run(map_index=0), **arguments)["manifest"]).parent


def test_two_simultaneous_runs_of_one_window_have_their_own_folders(
    alvys: Simulator, land: Land, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = AlvysClient.call
    results: list[dict[str, Any]] = []
    is_first = [True]

    def beside(client: AlvysClient, method: str, path: str, **options: Any) -> Any:
        answer = call(client, method, path, **options)
        if path == "loads/search" and is_first[0]:
            is_first[0] = False
            results.append(land(run("second"), page_size=50, settling=0))
        return answer

    monkeypatch.setattr(AlvysClient, "call", beside)
    results.append(land(run("first"), page_size=50))
    assert len({Path(result["manifest"]).parent for result in results}) == 2
    for result in results:
        assert ids(read_lines(result["manifest"])) == set(
            alvys.truth_keys(until=result["until"], since=result["since"])
        )
    assert list(cursors(lake).values()) == [max(result["until"] for result in results)]


def test_a_resumed_run_reads_the_children_of_its_first_parents(
    alvys: Simulator, land: Land, kill_at_request: Callable[[int], None]
) -> None:
    loads = land(run("parents"), page_size=200)
    numbers = [json.loads(line)["LoadNumber"] for line in read_lines(loads["manifest"])][:30]
    arguments = {"stream": "load_documents", "parents": numbers, "part_rows": 5}
    kill_at_request(20)
    with pytest.raises(Killed):
        land(run(), **arguments)
    endpoint = "GET loads/{id}/documents"
    before = alvys.stats()["requests"][endpoint]
    result = land(run(), **arguments)
    assert before + alvys.stats()["requests"][endpoint] - before <= 19 + 11 + 5
    assert sorted(read_lines(result["manifest"])) == sorted(
        alvys.truth_rows(stream="load_documents", parents=json.dumps(numbers))
    )
    manifest = read_manifest(result["manifest"])
    assert [parent for entry in manifest["parents"] for parent in entry["ids"]] == numbers


def sweep(hook: QuickHook, lake: Path, **arguments: Any) -> list[dict[str, Any]]:
    operator = AlvysSweepToObjectStorageOperator(
        task_id="sweep", streams=["drivers", "customers", "trucks"], path=str(lake), **arguments
    )
    operator.hook = hook
    return operator.execute(run("sweep"))


def test_a_retried_sweep_reads_only_the_streams_that_have_not_landed(
    alvys: Simulator, hook: QuickHook, lake: Path
) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": "POST customers/search", "times": 6})
    with pytest.raises(AlvysServerError):
        sweep(hook, lake)
    first = alvys.stats()["requests"]
    results = sweep(hook, lake)
    second = alvys.stats()["requests"]
    assert [result["stream"] for result in results] == ["drivers", "customers", "trucks"]
    assert second["POST drivers/search"] == first["POST drivers/search"]
    assert second["POST customers/search"] > first["POST customers/search"]
    # Cleared after it had ended, it reads everything again.
    sweep(hook, lake)
    assert alvys.stats()["requests"]["POST drivers/search"] == 2 * first["POST drivers/search"]
    assert len(manifests(lake)) == 6


def test_a_sweep_with_a_retryable_failure_is_retried(alvys: Simulator, hook: QuickHook, lake: Path) -> None:
    alvys.order_faults(
        {"kind": "status", "status": 403, "endpoint": "POST drivers/search", "times": 9},
        {"kind": "status", "status": 500, "endpoint": "POST customers/search", "times": 9},
    )
    with pytest.raises(AlvysServerError):
        sweep(hook, lake)


def test_nothing_due_is_still_a_skip(alvys: Simulator, hook: QuickHook, land: Land, lake: Path) -> None:
    first = land(run("1"))
    operator = AlvysToObjectStorageOperator(
        task_id="land", stream="loads", path=str(lake), until=first["until"]
    )
    operator.hook = hook
    with pytest.raises(AirflowSkipException):
        operator.execute(run("2"))
