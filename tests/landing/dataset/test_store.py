from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysValueError
from airflow_provider_alvys.landing.dataset.store import Store, _written_at, check_path


class Note(msgspec.Struct):
    text: str


@pytest.fixture(params=["local", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = {
        "local": str(tmp_path / "a b"),
        "file": f"file://{tmp_path}/x",
        "memory": f"memory://bucket{tmp_path}",
    }
    attach("memory", fs=MemoryFileSystem())
    return Store(root[request.param])


@pytest.mark.every_airflow
def test_a_store_returns_the_content_that_was_put(store: Store) -> None:
    assert store.get("loads/x.json") is None
    store.put("loads/x.json", b"one")
    store.put("loads/x.json", b"two")
    assert store.get("loads/x.json") == b"two"
    store.put_json("note.json", Note("é"))
    assert store.get_json("note.json", Note) == Note("é")
    assert store.get_json("none.json", Note) is None


def test_a_damaged_file_raises_an_error_that_says_what_to_do(store: Store) -> None:
    store.put("note.json", b"{")
    with pytest.raises(AlvysStorageError, match="note.json is damaged: .* Restore it, or delete it"):
        store.get_json("note.json", Note)


def test_a_full_path_can_be_opened_by_another_task(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/lake/")
    store.put("loads/part.jsonl", b"x")
    assert Path(store.url("loads/part.jsonl")).read_bytes() == b"x"


def test_a_failed_local_write_keeps_the_old_file_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.put("x.json", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(AlvysStorageError, match="x.json cannot be written: .*No space left"):
        store.put("x.json", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("x.json", b"old")]


def test_a_storage_that_is_not_installed_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(AlvysValueError, match=r"scheme gs\b.*\[gcs\] for gs://"):
        Store("gs://bucket/alvys")


@pytest.mark.parametrize("path", ["lake", "./lake", "~/lake", "", "  ", "foo:bar", "C:\\lake"])
def test_a_relative_path_is_refused(path: str) -> None:
    with pytest.raises(AlvysValueError, match="is relative"):
        check_path(path)


@pytest.mark.parametrize("path", ["s3://", "s3://aws_default@", "gs:///"])
def test_a_path_without_a_bucket_is_refused(path: str) -> None:
    with pytest.raises(AlvysValueError, match="has no bucket"):
        check_path(path)


def test_an_absolute_path_loses_its_last_slash_only() -> None:
    assert check_path(" /data/alvys/ ") == "/data/alvys"
    assert check_path("s3://aws@bucket/x/") == "s3://aws@bucket/x"
    assert check_path("/") == "/"
    assert check_path("file:///") == "file:///"


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
@pytest.mark.parametrize("how", ["put", "put_json", "new_file"])
def test_local_files_are_readable_by_the_group_at_most(tmp_path: Path, how: str, umask: int) -> None:
    store = Store(f"file://{tmp_path}/new/lake")
    earlier = os.umask(umask)
    try:
        # Overwritten, too: an earlier version wrote files that all could read.
        for _ in range(2):
            if how == "put":
                store.put("loads/_runs/x.json", b"x")
            elif how == "put_json":
                store.put_json("loads/_runs/x.json", Note("x"))
            else:
                with store.new_file("loads/_runs/x.json") as file:
                    file.write(b"x")
    finally:
        os.umask(earlier)
    for path in (tmp_path / "new").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o770 if path.is_dir() else 0o660) & ~umask, path
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o770 & ~umask


def test_a_folder_is_listed_without_those_below_it(store: Store) -> None:
    assert store.list_folder("loads") == store.list_newest("loads", 5) == []
    for name in ("loads/b.json", "loads/a.json", "loads/c/d/e.json", "f.json"):
        store.put(name, b"1")
    assert store.list_folder("") == ["f.json", "loads"]
    assert store.list_folder("loads") == ["a.json", "b.json", "c"]
    assert set(store.list_newest("loads", 3)) == {"a.json", "b.json", "c"}
    assert len(store.list_newest("loads", 2)) == 2


def test_the_newest_files_come_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name, time in (("a", 3), ("b", 1), ("c", 2)):
        store.put(name, b"1")
        os.utime(tmp_path / name, (time, time))
    assert store.list_newest("", 2) == ["a", "c"]


@pytest.mark.parametrize(
    "entry",
    [
        {"LastModified": datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)},
        {"updated": "1970-01-01T00:01:00.000Z"},
        {"mtime": 60.0},
    ],
)
def test_each_storage_says_when_a_file_was_written(entry: dict[str, Any]) -> None:
    assert _written_at(entry) == 60
    assert _written_at({}) == 0
