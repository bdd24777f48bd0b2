from __future__ import annotations

import json
from typing import Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land


def read(bucket: Any, url: str) -> bytes:
    return bucket.get_object(Bucket="lake", Key=url.split("@lake/")[1])["Body"].read()


def test_two_runs_land_everything_then_what_changed(alvys: Simulator, bucket: Any, land: Land) -> None:
    path = "s3://aws_lake@lake/alvys"
    first = land(path=path, page_size=100, part_rows=200)
    alvys.change(rows=7, at=first["until"])
    second = land(path=path)
    assert first["manifest"].startswith(f"{path}/loads/")
    for result in (first, second):
        manifest = json.loads(read(bucket, result["manifest"]))
        folder = result["manifest"].rpartition("/")[0]
        lines = [
            line
            for part in manifest["parts"]
            for line in read(bucket, f"{folder}/{part['name']}").splitlines()
        ]
        landed = {json.loads(line)["Id"] for line in lines}
        assert len(lines) == len(landed) == result["rows"]
        assert (
            landed == set(alvys.truth_keys(since=result["since"], until=result["until"])) or result is first
        )
    assert second["rows"] >= 7
    (cursor,) = [
        entry["Key"]
        for entry in bucket.list_objects_v2(Bucket="lake", Prefix="alvys/")["Contents"]
        if "_cursor-" in entry["Key"]
    ]
    assert json.loads(bucket.get_object(Bucket="lake", Key=cursor)["Body"].read())["until"] == second["until"]


def test_an_object_storage_path_keeps_its_connection(alvys: Simulator, bucket: Any, land: Land) -> None:
    result = land(path=ObjectStoragePath("s3://lake/other", conn_id="aws_lake"))
    assert result["manifest"].startswith("s3://aws_lake@lake/other/loads/")
    assert json.loads(read(bucket, result["manifest"]))["rows"] == result["rows"] > 0
