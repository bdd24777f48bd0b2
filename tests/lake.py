"""Read a landed data set."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.landing.formats.registry import read_rows


def read_manifest(path: str | Path) -> dict[str, Any]:
    return json.loads(Path(path).read_bytes())


def read_lines(manifest_path: str | Path) -> list[bytes]:
    """Return the rows of a manifest as JSON lines, and check its sizes, hashes and counts."""
    manifest_path = Path(manifest_path)
    manifest = read_manifest(manifest_path)
    lines: list[bytes] = []
    for part in manifest["parts"]:
        content = (manifest_path.parent / part["name"]).read_bytes()
        assert len(content) == part["bytes"]
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
        if part["name"].endswith(".parquet"):
            rows = list(read_rows(content, STREAMS[manifest["stream"]], "parquet", manifest["compression"]))
        else:
            if part["name"].endswith(".gz"):
                content = gzip.decompress(content)
            assert content.endswith(b"\n")
            rows = content.split(b"\n")[:-1]
        assert len(rows) == part["rows"]
        lines += rows
    assert len(lines) == manifest["rows"]
    on_disk = {file.name for file in manifest_path.parent.iterdir()}
    assert on_disk == {"_manifest.json", *(part["name"] for part in manifest["parts"])}
    return lines


class _Identified(msgspec.Struct):
    """A row, of which nothing else is decoded."""

    Id: str


def ids(lines: list[bytes]) -> set[str]:
    decoder = msgspec.json.Decoder(_Identified)
    found = {decoder.decode(line).Id for line in lines}
    assert len(found) == len(lines), "repeated rows"
    return found


def manifests(lake: Path) -> list[Path]:
    return sorted(lake.rglob("_manifest.json"))


def cursors(lake: Path) -> dict[str, str]:
    """Return the time of each cursor, by file name."""
    return {file.name: json.loads(file.read_bytes())["until"] for file in lake.rglob("_cursor-*.json")}
