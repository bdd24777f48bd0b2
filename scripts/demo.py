"""
Run the example DAGs with their 17 streams in a real Airflow, while a simulated company works for four weeks.

They land files and load tables. Three SQL queries over the tables are compared with the simulator's own
answers, printed and drawn.

All files are below ``.demo/``, or below the folder that ``DEMO_FOLDER`` names, and no process is left
running. ``make demo`` calls this.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.schema import default_table_name, key_columns
from scripts.demo_ui import DEMO, HOME, ROOT
from scripts.questions import (
    Answers,
    answer,
    currencies,
    debts_table,
    differences,
    lanes_table,
    revenue_table,
)
from scripts.questions.picture import draw
from scripts.questions.totals import totals_of_rows, totals_of_simulator, totals_of_tables

LAKE = DEMO / "lake"
DATABASE = DEMO / "alvys.sqlite"
PICTURE = DEMO / "alvys.png"
LOG = DEMO / "airflow.log"
EXAMPLE = "dags_examples/alvys_to_lake.py"
HOURLY, DAILY, WEEKLY = DAGS = ("alvys_to_lake_hourly", "alvys_to_lake_daily", "alvys_to_lake_weekly")
STREAMS = 17
LOADS = 600
FLEET = 120
CUSTOMERS = 20
# The company's life before the first sync, and the days that pass before each further one.
DAYS = 96
ADVANCES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (9, (HOURLY,)),
    (8, (HOURLY, DAILY)),
    # A row that is no longer there is marked as missing after two reads without it.
    (11, (HOURLY, DAILY, WEEKLY, DAILY)),
)
A_DAY = 24 * 3600
# requests_per_minute: below the smallest documented limit, with a minute that lasts one second.
PACE = 300
# Streams that are read by the time of the last change: each change is in the next run.
BY_CHANGE = ("loads", "trips")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass
class Landed:
    """
    The rows that the runs have landed.

    :param rows: the newest of each row, by stream and key.
    :param runs: a summary of each stream of each run.
    """

    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def streams(self) -> list[str]:
        """The streams, by name."""
        return sorted(self.rows)


def main() -> None:
    """Run the demo; exit with 1 if files, tables or answers differ from the simulator's data."""
    # Where a demo has run there is its log.
    if DEMO != ROOT / ".demo" and DEMO.exists() and any(DEMO.iterdir()) and not LOG.exists():
        sys.exit(f"{DEMO} has files of something else: name another folder as DEMO_FOLDER")
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "dags").mkdir(parents=True)
    LOG.touch()
    # The other examples need buckets and extras.
    shutil.copy(ROOT / EXAMPLE, DEMO / "dags")
    started = time.monotonic()
    behind = sum(days for days, _ in ADVANCES) * A_DAY
    start = time.time() - behind
    landed = Landed()
    # The simulator's clock is behind ours until the last day has passed. A sync trusts the earlier of both.
    with Simulator(
        loads=LOADS,
        fleet=FLEET,
        rows={"customers": CUSTOMERS},
        days=DAYS,
        now=start,
        clock_offset=-behind,
        limits=True,
        minute=1,
    ) as alvys:
        environment = airflow_environment(alvys, start - (DAYS + 1) * A_DAY)
        say(f"A simulated Alvys with {LOADS:,} loads of {DAYS} days in a company's life is at {alvys.url}.")
        print(f"There it is {day_of(start)}. docs/reference/simulator.md introduces the company.")
        say(
            "Airflow gets a new home and two connections: alvys_default, and warehouse, an empty SQLite file."
        )
        airflow(environment, "airflow", "db", "migrate")
        airflow(environment, "airflow", "dags", "reserialize")

        say(f"First runs of the DAGs in {EXAMPLE} read everything; the weekly DAG reads some of it again.")
        run_dags(environment, alvys, landed, DAGS)
        changes_landed, as_of = live(environment, alvys, landed, start)

        refused = alvys.stats()["rate_limited"]
        tables_match = check_tables(alvys, landed.streams)
        expected = alvys.answers(as_of.isoformat())
    files_match = (
        all(run["is_exact"] for run in landed.runs)
        and len(landed.streams) == STREAMS
        and changes_landed
        and refused == 0
    )
    found = answer(DATABASE, as_of.isoformat())
    print_answers(found)
    draw(
        found,
        PICTURE,
        f"A simulated company on {as_of:%d %B %Y}, after four weeks of syncs by Airflow into SQLite",
    )
    say("Compared with the simulator:")
    checks = {
        "Each run landed exactly the simulator's rows, and every change": files_match,
        "The tables have exactly the simulator's rows": tables_match,
        **check_totals(landed, expected["totals"]),
        **check_answers(found, expected),
    }
    for text, is_right in checks.items():
        print(f"  {text}: {yes_or_no(is_right)}")
    say(f"Files: {shown(LAKE)}/<stream>. Each run has a folder with parts and _manifest.json.")
    print(f"Tables: {shown(DATABASE)}. Picture: {shown(PICTURE)}.")
    print_next_steps()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    print("To see these runs in Airflow's UI, and how fresh and complete each stream is: make demo-ui")
    sys.exit(0 if all(checks.values()) else 1)


def live(environment: dict[str, str], alvys: Simulator, landed: Landed, start: float) -> tuple[bool, date]:
    """Let days pass and run DAGs; return whether they landed all that changed, and the last day."""
    are_landed, now = True, start
    for days, dags in ADVANCES:
        since, now = now, alvys.advance(days=days)
        changes = alvys.changes(since=datetime.fromtimestamp(since, timezone.utc).isoformat())
        kinds = Counter((change["stream"], change["change"]) for change in changes)
        added, changed = (
            ", ".join(f"{kinds[name, kind]} {name}" for name in ("loads", "trips", "invoices"))
            for kind in ("added", "changed")
        )
        say(f"{days} days pass in Alvys, until {day_of(now)}. New: {added}. Changes: {changed}.")
        # The window ends `settling` (1 s) before the time of the Date header, which has no fractions.
        time.sleep(3)
        runs = run_dags(environment, alvys, landed, dags)
        wanted = {(change["stream"], change["key"]) for change in changes if change["stream"] in BY_CHANGE}
        are_landed &= wanted <= {(run["stream"], key) for run in runs for key in run["keys"]}
    return are_landed, day_of(now)


def day_of(now: float) -> date:
    """Return the day of a time in seconds since 1970."""
    return datetime.fromtimestamp(now, timezone.utc).date()


def airflow_environment(alvys: Simulator, initial_since: float) -> dict[str, str]:
    """
    Return the environment of an Airflow with connections to the simulator and to the SQLite file.

    :param initial_since: what the first runs read from, in seconds since 1970.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALVYS"))
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DEMO / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=PACE),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(DATABASE)}),
        "ALVYS_LAKE": str(LAKE),
        "ALVYS_SQL_CONN_ID": "warehouse",
        "ALVYS_INITIAL_SINCE": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(initial_since)),
        "ALVYS_SETTLING_SECONDS": "1",
    }


def airflow(environment: dict[str, str], *command: str) -> None:
    """Run a command of Airflow, and append its output to a log file."""
    with LOG.open("a") as file:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        print(LOG.read_text()[-5000:])
        sys.exit(f"{' '.join(command)} failed: see {LOG}")


def run_dags(
    environment: dict[str, str], alvys: Simulator, landed: Landed, dags: Sequence[str]
) -> list[dict[str, Any]]:
    """Run DAGs, print what each has landed, and return a summary of each stream."""
    before = set(LAKE.rglob("_manifest.json"))
    airflow(environment, "scripts.run_dags", *dags)
    found = [(file, json.loads(file.read_text())) for file in set(LAKE.rglob("_manifest.json")) - before]
    found.sort(key=lambda entry: (entry[1]["stream"], entry[1]["read_from"]))
    runs = [summarize(alvys, landed, file.parent, manifest) for file, manifest in found]
    landed.runs += runs
    print_table(runs)
    print_requests(alvys)
    return runs


def summarize(alvys: Simulator, landed: Landed, folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Keep the rows of a manifest; return its figures, and whether its rows are exactly the simulator's."""
    stream = manifest["stream"]
    rows = read_rows(folder, manifest)
    expected: set[str] = set()
    for search in manifest["searches"]:
        window = search["window"] or {}
        bounds = {"window_by": window.get("by"), "since": window.get("since"), "until": window.get("until")}
        # An empty list does not filter.
        filters = {name: value for name, value in search["asked"].items() if value != []}
        query = {name: value for name, value in bounds.items() if value}
        expected |= {
            row.decode() for row in alvys.truth_rows(stream=stream, filters=json.dumps(filters), **query)
        }
    (key,) = get_stream(stream).key
    records = {str(record[key]): record for record in map(_decoder.decode, rows)}
    landed.rows.setdefault(stream, {}).update(records)
    return {
        "stream": stream,
        "by": manifest["window"]["by"] if manifest["window"] else "whole",
        "rows": len(rows),
        "requests": manifest["requests"],
        "proof": manifest["proof"],
        "is_exact": {row.rstrip("\n") for row in rows} == expected,
        "keys": set(records),
    }


def print_table(runs: list[dict[str, Any]]) -> None:
    """Print a line for each landed stream."""
    print(f"  {'stream':<30} {'by':<12} {'rows':>6} {'requests':>9}  {'proof':<6} as in Alvys")
    for run in runs:
        print(
            f"  {run['stream']:<30} {run['by']:<12} {run['rows']:>6,} {run['requests']:>9}  "
            f"{run['proof']:<6} {yes_or_no(run['is_exact'])}"
        )
    rows, requests = sum(run["rows"] for run in runs), sum(run["requests"] for run in runs)
    print(f"  {'total':<43} {rows:>6,} {requests:>9}")


def print_requests(alvys: Simulator) -> None:
    """Print the simulator's counts of tokens and refused requests."""
    stats = alvys.stats()
    print(
        f"  So far tokens={stats['tokens']} (one for each process), refused requests={stats['rate_limited']}."
    )


def query(sql: str) -> list[tuple[Any, ...]]:
    """Query the database."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        return connection.execute(sql).fetchall()


def check_tables(alvys: Simulator, streams: list[str]) -> bool:
    """Print the number of tables and rows, and return whether they have exactly the simulator's rows."""
    tables = [name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = sum(query(f'SELECT COUNT(*) FROM "{name}"')[0][0] for name in tables)
    say(f"All runs were loaded into {shown(DATABASE)}: {len(tables)} tables, {rows:,} rows.")
    wrong = []
    for stream in streams:
        (key,) = key_columns(get_stream(stream))
        found = [
            str(row[0])
            for row in query(
                f'SELECT "{key}" FROM "{default_table_name(get_stream(stream))}" WHERE _missing_since IS NULL'
            )
        ]
        if sorted(found) != sorted(alvys.truth_keys(stream=stream)):
            wrong.append(stream)
    for stream in wrong:
        print(f"  {stream}: NOT the simulator's rows")
    return not wrong


def missing_keys(stream: str) -> set[str]:
    """Return the keys of the rows that are marked as missing in the table."""
    (key,), table = key_columns(get_stream(stream)), default_table_name(get_stream(stream))
    rows = query(f'SELECT "{key}" FROM "{table}" WHERE _missing_since IS NOT NULL')
    return {str(key) for (key,) in rows}


def check_totals(landed: Landed, expected: Sequence[Mapping[str, str]]) -> dict[str, bool]:
    """Compare the sums of all columns of money, and return whether they are equal."""
    right = totals_of_simulator(expected, landed.streams)
    files: dict[tuple[str, str, str], Decimal] = {}
    for stream, rows in landed.rows.items():
        gone = missing_keys(stream)
        files |= totals_of_rows(stream, (row for key, row in rows.items() if key not in gone))
    places = {"files": files, "tables": totals_of_tables(DATABASE, landed.streams)}
    for place, totals in places.items():
        for key in sorted(totals.keys() | right.keys()):
            if totals.get(key) != right.get(key):
                print(
                    f"  {' '.join(key)}: {totals.get(key)} in the {place}, {right.get(key)} in the simulator"
                )
    return {
        f"The {len(right)} totals of money, by field and currency, are the same in the {place}": totals
        == right
        for place, totals in places.items()
    }


def check_answers(found: Answers, expected: Mapping[str, Any]) -> dict[str, bool]:
    """Compare the answers of SQL with the simulator's own, and return whether they are equal."""
    titles = {
        "revenue": "The revenue equals the simulator's own answer to the cent",
        "lanes": "On-time delivery equals the simulator's own answer",
        "receivables": "What customers owe equals the simulator's own answer to the cent",
    }
    checks = {}
    for name, rows in found.as_simulated().items():
        wrong = differences(rows, expected[name])
        for row in wrong:
            print(f"  {name}: only in SQL or only in the simulator: {row}")
        checks[titles[name]] = bool(rows) and not wrong
    return checks


def print_answers(found: Answers) -> None:
    """Print the answers of the three queries."""
    for currency in currencies(found.revenue):
        say(f"Revenue by customer and month of delivery, in {currency} (scripts/questions/revenue.sql):")
        print_lines(revenue_table(found.revenue, currency, max_rows=8))
    say("On-time delivery by lane (scripts/questions/on_time.sql):")
    print_lines(lanes_table(found.lanes, max_rows=8))
    say(f"What customers owe on {found.as_of}, by days past due (scripts/questions/unpaid.sql):")
    print_lines(debts_table(found.debts))


def print_lines(lines: Sequence[str]) -> None:
    """Print the lines of a table."""
    print("\n".join(f"  {line}" for line in lines))


def read_rows(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Return the rows of a manifest's parts."""
    return [
        line
        for part in manifest["parts"]
        for line in gzip.open(folder / part["name"], "rt", encoding="utf-8", newline="\n")
    ]


def yes_or_no(value: bool) -> str:
    """Return ``yes`` or ``NO``."""
    return "yes" if value else "NO"


def shown(path: Path) -> Path:
    """Return a path as it is printed."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def say(text: str) -> None:
    """Print a paragraph."""
    print(f"\n{text}", flush=True)


def print_next_steps() -> None:
    """Print what to try next."""
    say(
        "Next steps:\n"
        "  - Your own Alvys: in Airflow's UI, add a connection of type Alvys named alvys_default, with the\n"
        "    client id as login and the client secret as password. docs/connection.md says how to test it.\n"
        "  - Your own lake: set ALVYS_LAKE to a path or URL, such as s3://aws_default@my-bucket/alvys\n"
        "    (pip install 'airflow-provider-alvys[s3]'), and put dags_examples/alvys_to_lake.py into your\n"
        "    DAG folder.\n"
        "  - A simulator to experiment with: .venv/bin/python -m airflow_provider_alvys.simulator"
    )


if __name__ == "__main__":
    main()
