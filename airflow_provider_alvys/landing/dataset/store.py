"""A folder on local disk or object storage. Files are written completely or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_alvys.api.errors import AlvysStorageError, AlvysValueError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

T = TypeVar("T")
# For the owner and the group at most, whose workers may share a data set; the umask may take more away.
_FILE_MODE = 0o660
_FOLDER_MODE = 0o770
# The time of a file in the listings of local disk, S3, Azure and Google.
_WRITTEN = ("mtime", "LastModified", "last_modified", "updated")
_TEMPLATE = re.compile(r"\{[{%].*?[}%]\}")
# A user's password before the host, or parameters after the path.
_PASSWORD = re.compile(r"^[^/]*:.*@|\?.*=")
_GIVE_PATH = "Give an absolute path, such as /data/alvys or s3://aws_default@bucket/alvys"


def check_path(path: Any) -> str:
    """Return a path without a trailing slash. Raise AlvysValueError if it is relative or has a password."""
    if not (isinstance(path, str) or hasattr(path, "joinpath")):
        raise AlvysValueError(f"path={path!r} is not a path. {_GIVE_PATH}")
    path = str(path).strip()
    scheme, separator, rest = path.partition("://")
    if not path.startswith("/") and _PASSWORD.search(_TEMPLATE.sub("", rest if separator else path)):
        # Not quoted: manifests, assets and logs contain the path, so a password in it would reach them.
        raise AlvysValueError(f"path contains a password or a signature: use a connection. {_GIVE_PATH}")
    if not separator and not path.startswith("/"):
        raise AlvysValueError(f"path={path!r} is relative. {_GIVE_PATH}")
    if separator and scheme != "file" and not rest.rpartition("@")[2].strip("/"):
        raise AlvysValueError(f"path={path!r} has no bucket. {_GIVE_PATH}")
    rest = (rest if separator else path).rstrip("/") or "/"
    return f"{scheme}{separator}{rest}" if separator else rest


class Store:
    """
    Files below a folder, by names relative to it.

    :param path: absolute path or URL, with the storage's Airflow connection: ``s3://conn_id@bucket/...``.
    """

    def __init__(self, path: str | ObjectStoragePath) -> None:
        from airflow.sdk import ObjectStoragePath

        self.path = check_path(path)
        root = path if isinstance(path, ObjectStoragePath) else ObjectStoragePath(self.path)
        try:
            self._fs = root.fs
        except ValueError as error:
            raise AlvysValueError(
                f"{error}. Install the storage's extra: airflow-provider-alvys[s3] for s3://, [gcs] for "
                "gs://, [azure] for abfs://"
            ) from error
        self._root = root.path.rstrip("/")
        self._is_local = isinstance(self._fs, LocalFileSystem)

    def url(self, name: str) -> str:
        """Return the full path of a file, for other tasks."""
        return f"{self.path.rstrip('/')}/{name}"

    def put(self, name: str, content: bytes) -> None:
        """
        Write a file so that readers see all of it or nothing. Raise AlvysStorageError if that fails.

        Object stores get one put: an exception inside an open file of s3fs would commit a truncated object.
        """
        try:
            self._write(f"{self._root}/{name}", content)
        except OSError as error:
            raise self._unwritable(name, error) from error

    def _write(self, target: str, content: bytes) -> None:
        if self._is_local:
            with _draft(Path(target)) as file:
                file.write(content)
        else:
            self._fs.pipe_file(target, content)

    @contextmanager
    def new_file(self, name: str) -> Iterator[IO[bytes]]:
        """Yield an empty local file, which becomes the file ``name`` unless the block raises."""
        target = f"{self._root}/{name}"
        try:
            if self._is_local:
                with _draft(Path(target)) as file:
                    yield file
            else:
                # The storage takes the content type from the suffix.
                with tempfile.NamedTemporaryFile(suffix=PurePosixPath(name).suffix) as spool:
                    yield spool
                    spool.flush()
                    self._upload(spool.name, target)
        except OSError as error:
            raise self._unwritable(name, error) from error

    def _upload(self, source: str, target: str) -> None:
        try:
            self._fs.put_file(source, target)
        except FileExistsError:
            # adlfs does not overwrite.
            self._fs.rm_file(target)
            self._fs.put_file(source, target)

    def _unwritable(self, name: str, error: OSError) -> AlvysStorageError:
        return AlvysStorageError(
            f"{self.url(name)} cannot be written: {error}. Check that its folder has space and is writable"
        )

    def get(self, name: str) -> bytes | None:
        """Return a file's content; None if it does not exist. Raise AlvysStorageError if it is unreadable."""
        # fsspec caches listings; another worker may just have written this file.
        self._fs.invalidate_cache()
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(name, error) from error
        return content

    def sha256(self, name: str) -> str | None:
        """Return the hash of a file's content, or None if it does not exist."""
        content = self.get(name)
        return None if content is None else hashlib.sha256(content).hexdigest()

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every file in a folder, by name."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(f"{self._root}/{folder}", detail=True)
        except OSError as error:
            raise self._unreadable(folder, error) from error
        return {str(name)[len(self._root) + 1 :]: int(known["size"]) for name, known in found.items()}

    def list_folder(self, folder: str) -> list[str]:
        """Return the names of the files and folders in a folder, in order; none if it does not exist."""
        return sorted(name for name, _ in self._entries(folder))

    def list_newest(self, folder: str, limit: int) -> list[str]:
        """Return the names of the files that were written last in a folder, the newest first."""
        newest = sorted(self._entries(folder), key=lambda entry: _written_at(entry[1]), reverse=True)
        return [name for name, _ in newest[:limit]]

    def _entries(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(f"{self._root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(folder, error) from error
        return [(str(entry["name"]).rstrip("/").rpartition("/")[2], entry) for entry in found]

    def find(self, folder: str, file_name: str) -> list[str]:
        """Return the names of all files called ``file_name`` below a folder, in order."""
        return sorted(name for name in self.sizes(folder) if name.endswith(f"/{file_name}"))

    def _unreadable(self, name: str, error: OSError) -> AlvysStorageError:
        return AlvysStorageError(
            f"{self.url(name)} cannot be read: {error}. Check that it exists and is readable"
        )

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Hold a lock on a local data set. Object stores have no locks."""
        if not self._is_local or not os.path.isdir(self._root):
            yield
            return
        folder = os.open(self._root, os.O_RDONLY)
        try:
            # Some network file systems have no locks.
            with suppress(OSError):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def put_json(self, name: str, value: msgspec.Struct) -> None:
        """Write a struct as JSON that a person can read."""
        self.put(name, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")

    def get_json(self, name: str, type: type[T]) -> T | None:
        """Read a struct; None if the file does not exist. Raise AlvysStorageError if it is damaged."""
        content = self.get(name)
        return None if content is None else self.decode_json(name, content, type)

    def decode_json(self, name: str, content: bytes, type: type[T]) -> T:
        """Decode the content of a file. Raise AlvysStorageError if it is damaged."""
        try:
            return msgspec.json.decode(content, type=type)
        except msgspec.DecodeError as error:
            raise AlvysStorageError(
                f"{self.url(name)} is damaged: {error}. Restore it, or delete it: without its cursor a "
                "stream starts at initial_since, without its run file a task starts over"
            ) from error


def _written_at(entry: dict[str, Any]) -> float:
    """Return when a file was written, in seconds since 1970; 0 where the storage does not say."""
    # Local disk, S3, Azure, Google.
    value = next(
        (entry[key] for key in ("mtime", "LastModified", "last_modified", "updated") if key in entry), 0
    )
    if isinstance(value, (int, float)):
        return value
    return msgspec.convert(value, datetime).timestamp()


@contextmanager
def _draft(target: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary local file. It is synced to disk and renamed unless the block raises."""
    # Path.mkdir would create the folders above with the default mode.
    for folder in (*reversed(target.parent.parents), target.parent):
        if not folder.exists():
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    draft = target.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        # Readable, so that a download can be verified.
        with open(draft, "w+b", opener=lambda path, flags: os.open(path, flags, _FILE_MODE)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
