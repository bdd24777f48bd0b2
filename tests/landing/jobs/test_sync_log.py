"""The log of a sync: window, progress, waits, where it landed, who moved the cursor, what is open."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys import AlvysSweepToObjectStorageOperator
from airflow_provider_alvys.api.catalogue.stream_spec import WHOLE
from airflow_provider_alvys.api.catalogue.streams import STREAMS, get_stream
from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysValueError, is_hopeless
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import Land, QuickHook, SkippingClock
from tests.lake import cursors, ids, manifests, read_lines, read_manifest
from tests.sync_log import LogReader
from tests.transfers.test_alvys_to_object_storage import in_run

EARLY, LATE = "2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
# Only pages can change while they are read; a window on changes that has ended is never open.
CAN_BE_OPEN = [
    (stream.name, by)
    for stream in STREAMS.values()
    if stream.response_type == "page" and stream.parent is None
    for by in [
        *(window.name for window in stream.windows if not window.tracks_changes),
        *([WHOLE] if stream.full_read else []),
    ]
]


@pytest.fixture
def reader(clock: SkippingClock) -> Iterator[LogReader]:
    reader = LogReader(clock)
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(reader)
    logger.setLevel(logging.INFO)
    yield reader
    logger.removeHandler(reader)
    logger.setLevel(level)


def test_the_log_of_a_sync_has_window_progress_waits_and_result(
    alvys: Simulator, connect: Callable[..., None], clock: SkippingClock, land: Land, reader: LogReader
) -> None:
    connect(requests_per_minute=None)
    alvys.reset(loads=5000)
    began = clock.time()
    result = land()
    ended = clock.time()
    first, *middle, landed, manifest, cursor = reader.texts()
    assert first.startswith("Reading loads of alvys_default by updated from 2020-01-01T00:00:00Z until ")
    rows = result["rows"]
    assert landed == f"Landed {rows:,} loads in 2 min: parts=2 requests=25 proof=whole"
    assert manifest == f"Manifest: {result['manifest']}"
    assert cursor == f"Cursor advanced to {result['until']}"
    waits = [text for text in middle if text.startswith("Waiting ")]
    assert len(waits) == len([seconds for seconds in clock.sleeps if seconds >= 10]) == 2
    for wait in waits:
        assert "POST loads/search, 10 requests per 60 s" in wait
        assert "(connection alvys_default, pool default_pool)" in wait
    lines = list(reader.progress())
    assert len(lines) == len(middle) - len(waits) >= 3
    assert [line.done for line in lines] == sorted({line.done for line in lines})
    for line in lines:
        assert (line.total, line.pages) == (rows, 25)
        assert line.page * 200 - 200 < line.done <= line.page * 200
        # By the rate limit: 2,000 rows a minute.
        assert line.rate is None or abs(line.rate - 2000) < 300
        if line.left is not None:
            assert abs(line.time + line.left - ended) < 10
    assert 100 < ended - began < 140
    reader.check_form()
    reader.check_silence()
    assert reader.warnings == []


def test_a_fast_sync_logs_no_progress(alvys: Simulator, land: Land, reader: LogReader) -> None:
    land(page_size=50)
    assert list(reader.progress()) == []
    assert [text.split()[0] for text in reader.texts()] == ["Reading", "Landed", "Manifest:", "Cursor"]


def test_progress_is_in_parents_for_a_stream_that_is_read_per_parent(
    alvys: Simulator, connect: Callable[..., None], land: Land, reader: LogReader
) -> None:
    connect(requests_per_minute=None)
    numbers = [json.loads(row)["LoadNumber"] for row in alvys.truth_rows()][:40]
    land(stream="load_documents", parents=numbers)
    progress = reader.texts("Read load_documents of ")
    done = [int(text.split()[3]) for text in progress]
    assert len(progress) >= 3
    assert done == sorted(set(done))
    assert all(f"of 40 loads, {text.split(', ')[1]}" in text for text in progress)
    assert all(" a minute" in text for text in progress[1:])
    reader.check_form()
    reader.check_silence()


@pytest.mark.parametrize(("stream", "window"), CAN_BE_OPEN)
@pytest.mark.parametrize("fails", [False, True])
def test_an_open_read_is_a_warning_with_the_next_step_or_fails(
    alvys: Simulator, land: Land, lake: Path, reader: LogReader, stream: str, window: str, fails: bool
) -> None:
    # In two days, since some streams are read day by day.
    alvys.reset(loads=12, fleet=12, days=2)
    by = get_stream(stream).window(window) if window != WHOLE else None
    yesterday = (datetime.now(timezone.utc) - timedelta(days=1)).isoformat()
    alvys.add(stream=stream, rows=12, columns={by.column: yesterday} if by else {})
    alvys.order_mutations({"kind": "join", "stream": stream})
    since = (datetime.now(timezone.utc) - timedelta(days=3)).isoformat()
    arguments = {"stream": stream, "window_by": window, "page_size": 4, "initial_since": since}
    arguments["fail_on_open"] = fails
    if not fails:
        assert land(**arguments)["proof"] == "open"
        assert len(reader.warnings) >= 2
        missing, step = reader.warnings[-2:]
        assert missing.startswith(f"Some {stream} may be missing: ")
        assert ("Cursor not advanced" in step) == (window != WHOLE)
        assert "fail_on_open=True" in step
    else:
        with pytest.raises(AlvysIncompleteError) as caught:
            land(**arguments)
        assert str(caught.value.manifest) in str(caught.value)
        assert not is_hopeless(caught.value)
        manifest = read_manifest(str(caught.value.manifest))
        assert (manifest["proof"], manifest["rows"]) == ("open", caught.value.rows)
    assert len(manifests(lake)) == 1
    assert cursors(lake) == {}
    assert reader.texts("Cursor advanced") == []


def test_an_open_read_of_given_times_says_to_clear_the_task(
    alvys: Simulator, land: Land, reader: LogReader
) -> None:
    alvys.order_mutations({"kind": "join"})
    land(window_by="created", since=EARLY, until=LATE, page_size=50)
    assert reader.warnings[-1].startswith("Clear this task")


def test_a_retry_of_an_open_read_may_prove_it_complete(
    alvys: Simulator, land: Land, lake: Path, reader: LogReader
) -> None:
    arguments = {"window_by": "created", "page_size": 50, "fail_on_open": True}
    alvys.order_mutations({"kind": "join"})
    with pytest.raises(AlvysIncompleteError) as caught:
        land(in_run("run"), **arguments)
    assert cursors(lake) == {}
    alvys.order_mutations()
    result = land(in_run("run"), **arguments)
    assert result["proof"] == "whole"
    assert list(cursors(lake).values()) == [result["until"]]
    assert ids(read_lines(result["manifest"])) == set(
        alvys.truth_keys(until=result["until"], window_by="created")
    )
    first = read_manifest(str(caught.value.manifest))
    second = read_manifest(result["manifest"])
    # The same window, in a folder of its own.
    assert (first["window"], first["attempt"] + 1) == (second["window"], second["attempt"])
    assert len(manifests(lake)) == 2


def test_a_retry_of_a_sweep_reads_only_the_open_streams(
    alvys: Simulator, connect: Callable[..., None], hook: QuickHook, lake: Path
) -> None:
    connect(page_size=20)

    def sweep() -> Any:
        operator = AlvysSweepToObjectStorageOperator(
            task_id="sweep", streams=["drivers", "customers", "users"], path=str(lake), fail_on_open=True
        )
        operator.hook = hook
        return operator.execute(in_run("run", task_id="sweep"))

    alvys.order_mutations({"kind": "join", "stream": "customers"})
    with pytest.raises(AlvysIncompleteError):
        sweep()
    assert len(manifests(lake)) == 3
    alvys.order_mutations()
    before = alvys.stats()["requests"]
    results = sweep()
    after = alvys.stats()["requests"]
    assert {name for name in after if after[name] > before.get(name, 0)} == {"POST customers/search"}
    assert [result["proof"] for result in results] == ["whole"] * 3
    assert len(manifests(lake)) == 4


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_fail_on_open_must_be_a_bool(land: Land, value: Any) -> None:
    with pytest.raises(AlvysValueError, match="fail_on_open"):
        land(fail_on_open=value)
    with pytest.raises(AlvysValueError, match="fail_on_open"):
        AlvysSweepToObjectStorageOperator(
            task_id="sweep", streams=["drivers"], path="/lake", fail_on_open=value
        )


def test_the_first_run_of_another_dag_on_a_cursor_is_a_warning(land: Land, reader: LogReader) -> None:
    land(in_run("first", dag_id="one"))
    assert reader.texts("Continuing") == []
    reader.lines.clear()
    second = land(in_run("second", dag_id="two"))
    assert any("another DAG, one, run first" in text for text in reader.warnings)
    assert len(reader.texts("Continuing from the cursor at ")) == 1
    assert len(reader.texts("initial_since is not used")) == 1
    # From now on, both move it.
    for dag_id, last in (("two", "two, run second"), ("one", "two, run again-two")):
        reader.lines.clear()
        reader.warnings.clear()
        land(in_run(f"again-{dag_id}", dag_id=dag_id))
        assert reader.texts("Cursor last moved by DAG ") == [f"Cursor last moved by DAG {last}"]
        assert reader.warnings == []
    assert second["rows"] == 0 or second["since"] > EARLY


def test_a_cursor_of_an_earlier_version_names_no_dag(land: Land, lake: Path, reader: LogReader) -> None:
    land(in_run("first"))
    (cursor_file,) = lake.rglob("_cursor-*.json")
    cursor = json.loads(cursor_file.read_bytes())
    assert cursor.pop("moved_by") == [{"dag_id": "dag", "run_id": "first"}]
    cursor_file.write_text(json.dumps(cursor))
    land(in_run("second", dag_id="another"))
    assert len(reader.texts("Cursor last moved by a version that ")) == 1
    assert reader.warnings == []


def test_a_new_start_says_nothing_of_the_cursor(land: Land, reader: LogReader) -> None:
    land(in_run("first", dag_id="one"))
    land(in_run("second", dag_id="two"), full_refresh=True)
    assert reader.texts("Continuing") == reader.warnings == []
