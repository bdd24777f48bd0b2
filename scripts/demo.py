"""
Show the provider at work: the 17 streams of the example DAGs, in a real Airflow, against a simulated Alvys.

They land files and load tables, which answer three questions in SQL, and in a picture.

Everything stands below ``.demo/`` and nothing is left running. ``make demo`` calls this.
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
# A minute of the documented limits lasts a second here; the pace leaves room for the slowest of them.
PACE = 300


def main() -> None:
    """Run the demo; exit with 1 if a run did not land just what is true."""
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
            "Airflow gets a home of its own, on SQLite, and the connections alvys_default and warehouse, an empty SQLite file."
        )
        airflow(environment, "setup", "db", "migrate")
        airflow(environment, "setup", "dags", "reserialize")

        say(f"First runs of the DAGs in {EXAMPLE}: everything. (The weekly one reads some of it again.)")
        first = [row for dag_id in DAGS for row in run_dag(environment, alvys, dag_id, dag_id)]
        print_table(first)
        tell_requests(alvys)

        say(f"Meanwhile in Alvys, {CHANGED} loads are delivered, and 5 invoices that were due are paid.")
        changed = set(alvys.change(rows=CHANGED, columns={"Status": "Delivered"}))
        due = alvys.truth_keys(stream="invoices", filters='{"Status": ["AwaitingPayment"]}')[:5]
        alvys.change(
            stream="invoices",
            keys=due,
            columns={"Status": "Paid", "PaidDate": time.strftime("%Y-%m-%dT00:00:00Z")},
        )
        # The DAG leaves the last second to settle, and reads the server's clock, which tells whole seconds.
        time.sleep(3)

        say("Second run of the hourly one: of loads and trips only what changed, of invoices what may have.")
        second = run_dag(environment, alvys, DAGS[0], "second run")
        print_table(second)
        tell_requests(alvys)
        refused = alvys.stats()["rate_limited"]
        in_tables = check_tables(alvys, sorted({row["stream"] for row in first}))

    (loads,) = (row for row in second if row["stream"] == "loads")
    is_right = (
        all(row["is_true"] for row in first + second)
        and len({row["stream"] for row in first}) == STREAMS
        and changed <= loads["keys"]
        and refused == 0
    )
    is_exact = check_revenue()
    tell_answers()
    say(f"Each run landed just what the simulator says is true: {'yes' if is_right else 'NO'}.")
    say(f"The tables hold just the rows that are true: {'yes' if in_tables else 'NO'}.")
    say(f"Their revenue is that of the landed files to the cent: {'yes' if is_exact else 'NO'}.")
    say(
        f"The files: {LAKE.relative_to(ROOT)}/<stream>. Each run has a folder; its _manifest.json lists the parts."
    )
    print(f"The tables: {DATABASE.relative_to(ROOT)}. The picture: {PICTURE.relative_to(ROOT)}.")
    tell_next_steps()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    sys.exit(0 if is_right and in_tables and is_exact else 1)


def airflow_environment(alvys: Simulator) -> dict[str, str]:
    """Return the environment of an Airflow that knows the simulator and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALVYS"))}
    return {
        **kept,
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
    """Run an Airflow command; its output goes to a log file."""
    log = DEMO / f"{name.replace(' ', '-')}.log"
    with log.open("a") as file:
        done = subprocess.run(
            ["airflow", *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode:
        print(log.read_text()[-5000:])
        sys.exit(f"airflow {' '.join(arguments)} failed: see {log}")


def run_dag(environment: dict[str, str], alvys: Simulator, dag_id: str, log: str) -> list[dict[str, Any]]:
    """Run a DAG, and return an account of each stream that it landed."""
    known = set(LAKE.rglob("_manifest.json"))
    airflow(environment, log, "dags", "test", dag_id)
    found = sorted(set(LAKE.rglob("_manifest.json")) - known)
    return [account(alvys, dag_id.rpartition("_")[2], file) for file in found]


def account(alvys: Simulator, dag: str, file: Path) -> dict[str, Any]:
    """Return what a manifest says, and whether its rows are those that the simulator says are true."""
    manifest = json.loads(file.read_text())
    rows = read_rows(file.parent, manifest)
    truth: set[str] = set()
    for search in manifest["searches"]:
        window = search["window"] or {}
        bounds = {"window_by": window.get("by"), "since": window.get("since"), "until": window.get("until")}
        # What is sent empty is no filter.
        filters = {name: value for name, value in search["asked"].items() if value != []}
        query = {name: value for name, value in bounds.items() if value}
        truth |= {
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
        "is_true": {row.rstrip("\n") for row in rows} == truth,
        "keys": {json.loads(row).get("Id") for row in rows},
    }


def print_table(accounts: list[dict[str, Any]]) -> None:
    """Print a line for each stream that was landed."""
    print(f"  {'DAG':<7} {'stream':<30} {'by':<12} {'rows':>6} {'requests':>9}  {'proof':<6} as is true")
    for row in accounts:
        print(
            f"  {row['dag']:<7} {row['stream']:<30} {row['by']:<12} {row['rows']:>6,} {row['requests']:>9}  {row['proof']:<6} "
            f"{'yes' if row['is_true'] else 'NO'}"
        )
    print(
        f"  {'':<7} {'together':<43} {sum(row['rows'] for row in accounts):>6,} {sum(row['requests'] for row in accounts):>9}"
    )


def tell_requests(alvys: Simulator) -> None:
    """Print what the simulator has counted."""
    stats = alvys.stats()
    print(
        f"  So far {stats['tokens']} tokens, one a process, and {stats['rate_limited']} requests refused by the rate limit."
    )


def query(sql: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        return connection.execute(sql).fetchall()


def check_tables(alvys: Simulator, streams: list[str]) -> bool:
    """Print how much is in the tables, and return whether those of the streams have just the rows that the simulator has."""
    tables = [name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = sum(query(f'SELECT COUNT(*) FROM "{name}"')[0][0] for name in tables)
    say(
        f"Each run was loaded into {DATABASE.relative_to(ROOT)}, too: {len(tables)} tables with {rows:,} rows."
    )
    wrong = []
    for stream in streams:
        (key,) = key_columns(get_stream(stream))
        held = [
            str(row[0])
            for row in query(
                f'SELECT "{key}" FROM "{default_table_name(get_stream(stream))}" WHERE _missing_since IS NULL'
            )
        ]
        if sorted(held) != sorted(alvys.truth_keys(stream=stream)):
            wrong.append(stream)
    for stream in wrong:
        print(f"  {stream}: NOT the rows that are true")
    return not wrong


def check_revenue() -> bool:
    """Return whether the revenue in the table of loads is exactly that of the landed rows, the newest of each load."""
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
    # SQLite's own SUM is a float.
    sql = "SELECT customer_rate_amount FROM loads WHERE delivered_at IS NOT NULL AND is_deleted IS NOT TRUE"
    held = sum(Decimal(str(amount)) for (amount,) in query(sql))
    print(f"  Revenue of delivered loads, in dollars: {held:,} in the table, {landed:,} in the files.")
    return held == landed > 0


def tell_answers() -> None:
    """Ask the tables three questions; print and draw the answers."""
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
        f"A simulated Alvys with {ROWS:,} loads of {DAYS} days, synced by Airflow into SQLite and asked in SQL",
    )


def read_rows(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Return the rows of a manifest's parts."""
    return [
        line
        for part in manifest["parts"]
        for line in gzip.open(folder / part["name"], "rt", encoding="utf-8", newline="\n")
    ]


def say(text: str) -> None:
    """Print a paragraph."""
    print(f"\n{text}", flush=True)


def tell_next_steps() -> None:
    """Print what a newcomer may want next."""
    say(
        "What to do next:\n"
        "  - Your own Alvys: in Airflow's UI, add a connection of type Alvys named alvys_default, with the client id as\n"
        "    login and the client secret as password. docs/connection.md tells how to test it.\n"
        "  - Your own lake: set ALVYS_LAKE to a path or URL, such as s3://aws_default@my-bucket/alvys\n"
        "    (pip install 'airflow-provider-alvys[s3]'), and put dags_examples/alvys_to_lake.py into your DAG folder.\n"
        "  - A simulator to play with: .venv/bin/python -m airflow_provider_alvys.simulator"
    )


if __name__ == "__main__":
    main()
