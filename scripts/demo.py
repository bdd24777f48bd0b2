"""
Run the example DAGs with their 17 streams in a real Airflow, against a simulated Alvys.

They land files and load tables. Three SQL queries over the tables are printed and drawn.

All files are below ``.demo/``, and no process is left running. ``make demo`` calls this.
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
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.simulator.process import Simulator
from airflow_provider_alvys.tables.schema import default_table_name, key_columns
from scripts.questions import ages_table, answer, lanes_table, revenue_table
from scripts.questions.picture import draw

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
LAKE = DEMO / "lake"
DATABASE = DEMO / "alvys.sqlite"
PICTURE = DEMO / "alvys.png"
EXAMPLE = "dags_examples/alvys_to_lake.py"
DAGS = ("alvys_to_lake_hourly", "alvys_to_lake_daily", "alvys_to_lake_weekly")
STREAMS = 17
ROWS = 1000
FLEET = 120
CUSTOMERS = 12
DAYS = 120
CHANGED = 25
AN_HOUR = 3600
# requests_per_minute: below the smallest documented limit, with a minute that lasts one second.
PACE = 300


def main() -> None:
    """Run the demo; exit with 1 if files or tables differ from the simulator's data."""
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "dags").mkdir(parents=True)
    # The other examples need buckets and extras.
    shutil.copy(ROOT / EXAMPLE, DEMO / "dags")
    started = time.monotonic()
    with Simulator(
        loads=ROWS,
        fleet=FLEET,
        rows={"customers": CUSTOMERS},
        days=DAYS,
        now=time.time() - AN_HOUR,
        limits=True,
        minute=1,
    ) as alvys:
        environment = airflow_environment(alvys)
        say(f"A simulated Alvys with {ROWS:,} loads, trips, invoices and so on listens at {alvys.url}.")
        say(
            "Airflow gets a new home and two connections: alvys_default, and warehouse, an empty SQLite file."
        )
        airflow(environment, "setup", "db", "migrate")
        airflow(environment, "setup", "dags", "reserialize")

        say(f"First runs of the DAGs in {EXAMPLE} read everything; the weekly DAG reads some of it again.")
        first = [row for dag_id in DAGS for row in run_dag(environment, alvys, dag_id, dag_id)]
        print_table(first)
        print_requests(alvys)

        say(f"In Alvys, {CHANGED} loads are delivered, and 5 invoices are paid.")
        changed = set(alvys.change(rows=CHANGED, columns={"Status": "Delivered"}))
        due = alvys.truth_keys(stream="invoices", filters='{"Status": ["AwaitingPayment"]}')[:5]
        alvys.change(
            stream="invoices",
            keys=due,
            columns={"Status": "Paid", "PaidDate": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime())},
        )
        # The window ends `settling` (1 s) before the time of the Date header, which has no fractions.
        time.sleep(3)

        say("Second run of the hourly DAG: changed loads and trips, and the invoices of the lookback.")
        second = run_dag(environment, alvys, DAGS[0], "second run")
        print_table(second)
        print_requests(alvys)
        refused = alvys.stats()["rate_limited"]
        tables_match = check_tables(alvys, sorted({row["stream"] for row in first}))

    (loads,) = (row for row in second if row["stream"] == "loads")
    files_match = (
        all(row["is_exact"] for row in first + second)
        and len({row["stream"] for row in first}) == STREAMS
        and changed <= loads["keys"]
        and refused == 0
    )
    revenue_matches = check_revenue()
    print_answers()
    say(f"The files have exactly the simulator's rows: {yes_or_no(files_match)}.")
    say(f"The tables have exactly the simulator's rows: {yes_or_no(tables_match)}.")
    say(f"The revenue in the tables equals that in the files to the cent: {yes_or_no(revenue_matches)}.")
    say(f"Files: {LAKE.relative_to(ROOT)}/<stream>. Each run has a folder with parts and _manifest.json.")
    print(f"Tables: {DATABASE.relative_to(ROOT)}. Picture: {PICTURE.relative_to(ROOT)}.")
    print_next_steps()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    sys.exit(0 if files_match and tables_match and revenue_matches else 1)


def airflow_environment(alvys: Simulator) -> dict[str, str]:
    """Return the environment of an Airflow with connections to the simulator and to the SQLite file."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALVYS"))
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(DEMO / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DEMO / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=PACE),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(DATABASE)}),
        "ALVYS_LAKE": str(LAKE),
        "ALVYS_SQL_CONN_ID": "warehouse",
        "ALVYS_INITIAL_SINCE": time.strftime(
            "%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - (DAYS + 1) * 24 * AN_HOUR)
        ),
        "ALVYS_SETTLING_SECONDS": "1",
    }


def airflow(environment: dict[str, str], name: str, *arguments: str) -> None:
    """Run an Airflow command, and append its output to a log file."""
    log = DEMO / f"{name.replace(' ', '-')}.log"
    with log.open("a") as file:
        done = subprocess.run(
            ["airflow", *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        print(log.read_text()[-5000:])
        sys.exit(f"airflow {' '.join(arguments)} failed: see {log}")


def run_dag(environment: dict[str, str], alvys: Simulator, dag_id: str, log: str) -> list[dict[str, Any]]:
    """Run a DAG, and return a summary of each stream it landed."""
    before = set(LAKE.rglob("_manifest.json"))
    airflow(environment, log, "dags", "test", dag_id)
    found = sorted(set(LAKE.rglob("_manifest.json")) - before)
    return [summarize(alvys, dag_id.rpartition("_")[2], file) for file in found]


def summarize(alvys: Simulator, dag: str, file: Path) -> dict[str, Any]:
    """Return the figures of a manifest, and whether its rows are exactly the simulator's."""
    manifest = json.loads(file.read_text())
    rows = read_rows(file.parent, manifest)
    expected: set[str] = set()
    for search in manifest["searches"]:
        window = search["window"] or {}
        bounds = {"window_by": window.get("by"), "since": window.get("since"), "until": window.get("until")}
        # An empty list does not filter.
        filters = {name: value for name, value in search["asked"].items() if value != []}
        query = {name: value for name, value in bounds.items() if value}
        expected |= {
            row.decode()
            for row in alvys.truth_rows(stream=manifest["stream"], filters=json.dumps(filters), **query)
        }
    return {
        "dag": dag,
        "stream": manifest["stream"],
        "by": manifest["window"]["by"] if manifest["window"] else "whole",
        "rows": len(rows),
        "requests": manifest["requests"],
        "proof": manifest["proof"],
        "is_exact": {row.rstrip("\n") for row in rows} == expected,
        "keys": {json.loads(row).get("Id") for row in rows},
    }


def print_table(runs: list[dict[str, Any]]) -> None:
    """Print a line for each landed stream."""
    print(f"  {'DAG':<7} {'stream':<30} {'by':<12} {'rows':>6} {'requests':>9}  {'proof':<6} as in Alvys")
    for run in runs:
        print(
            f"  {run['dag']:<7} {run['stream']:<30} {run['by']:<12} {run['rows']:>6,} {run['requests']:>9}  "
            f"{run['proof']:<6} {yes_or_no(run['is_exact'])}"
        )
    rows, requests = sum(run["rows"] for run in runs), sum(run["requests"] for run in runs)
    print(f"  {'':<7} {'total':<43} {rows:>6,} {requests:>9}")


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
    say(f"All runs were loaded into {DATABASE.relative_to(ROOT)}: {len(tables)} tables, {rows:,} rows.")
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


def check_revenue() -> bool:
    """Return whether the revenue in the table equals that of the newest landed row of each load."""
    newest: dict[str, dict[str, Any]] = {}
    for file in LAKE.glob("loads/*/*/_manifest.json"):
        for line in read_rows(file.parent, json.loads(file.read_text())):
            row = json.loads(line, parse_float=Decimal)
            if row["Id"] not in newest or newest[row["Id"]]["UpdatedAt"] < row["UpdatedAt"]:
                newest[row["Id"]] = row
    landed = sum(
        Decimal(row["CustomerRate"]["Amount"])
        for row in newest.values()
        if "DeliveredAt" in row and not row.get("IsDeleted")
    )
    # SUM of SQLite returns a float.
    sql = "SELECT customer_rate_amount FROM loads WHERE delivered_at IS NOT NULL AND is_deleted IS NOT TRUE"
    loaded = sum(Decimal(str(amount)) for (amount,) in query(sql))
    print(f"  Revenue of delivered loads, in dollars: {loaded:,} in the table, {landed:,} in the files.")
    return loaded == landed > 0


def print_answers() -> None:
    """Run the three queries; print and draw their results."""
    answers = answer(DATABASE)
    for title, name, lines in (
        ("Revenue by customer and month, in dollars", "revenue", revenue_table(answers.revenue, max_rows=8)),
        ("On-time delivery by lane", "on_time", lanes_table(answers.lanes, max_rows=8)),
        ("Unpaid invoices by age, in dollars", "unpaid", ages_table(answers.ages)),
    ):
        say(f"{title} (scripts/questions/{name}.sql):")
        print("\n".join(f"  {line}" for line in lines))
    draw(
        answers,
        PICTURE,
        f"{ROWS:,} loads of {DAYS} days from a simulated Alvys, synced by Airflow into SQLite",
    )


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
