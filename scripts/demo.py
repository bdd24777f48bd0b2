"""
Show the provider at work: two runs of the example DAG, in a real Airflow, against a simulated Alvys.

Everything stands below ``.demo/`` and nothing is left running. ``make demo`` calls this.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
LAKE = DEMO / "lake"
DAG_ID = "alvys_loads_to_files"
LOADS = 5000
CHANGED = 25
AN_HOUR = 3600


def main() -> None:
    """Run the demo; exit with 1 if the second run did not land just what had changed."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    started = time.monotonic()
    # The limits are Alvys's own, with a minute that lasts a second: nobody wants to watch 25 requests at 10 a minute.
    with Simulator(loads=LOADS, now=time.time() - AN_HOUR, limits=True, minute=1) as alvys:
        environment = airflow_environment(alvys)
        say(f"A simulated Alvys with {LOADS:,} loads listens at {alvys.url}.")
        say("Airflow gets a home of its own, on SQLite, and the connection alvys_default.")
        airflow(environment, "setup", "db", "migrate")
        airflow(environment, "setup", "dags", "reserialize")

        say(f"First run of the DAG {DAG_ID}: everything.")
        first = run_dag(environment, alvys, "first run")

        say(f"Meanwhile in Alvys, {CHANGED} loads are delivered.")
        changed = alvys.change(rows=CHANGED, columns={"Status": "Delivered"})
        # The DAG leaves the last second to settle, and reads the server's clock, which tells whole seconds.
        time.sleep(3)

        say("Second run: only what changed.")
        second = run_dag(environment, alvys, "second run")

    landed = {json.loads(row)["Id"] for row in second["rows"]}
    first_row = first["rows"][0]
    is_right = (
        landed == set(changed) == second["truth"]
        and len(second["rows"]) == CHANGED
        and len(first["rows"]) == LOADS == len(first["truth"])
    )
    say(f"Both runs landed just what the simulator says is true: {'yes' if is_right else 'NO'}.")
    say(f"The first row, of {len(first_row):,} characters:\n  {first_row[:300]}…")
    say(f"The files: {LAKE.relative_to(ROOT)}/loads. Each run has a folder; its _manifest.json lists the parts.")
    tell_next_steps()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    sys.exit(0 if is_right else 1)


def airflow_environment(alvys: Simulator) -> dict[str, str]:
    """Return the environment of an Airflow that knows the simulator and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALVYS"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(DEMO / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags_examples"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_ALVYS_DEFAULT": alvys.connection_json(requests_per_minute=600),
        "ALVYS_LAKE": str(LAKE),
        "ALVYS_OVERLAP_SECONDS": "1",
        "ALVYS_SETTLING_SECONDS": "1",
    }


def airflow(environment: dict[str, str], name: str, *arguments: str) -> None:
    """Run an Airflow command; its output goes to a log file."""
    log = DEMO / f"{name.replace(' ', '-')}.log"
    with log.open("a") as file:
        done = subprocess.run(["airflow", *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        print(log.read_text()[-5000:])
        sys.exit(f"airflow {' '.join(arguments)} failed: see {log}")


def run_dag(environment: dict[str, str], alvys: Simulator, name: str) -> dict[str, Any]:
    """Run the DAG, print an account of it, and return what it landed and what it should have."""
    before = alvys.stats()
    known = set(LAKE.rglob("_manifest.json"))
    began = time.monotonic()
    airflow(environment, name, "dags", "test", DAG_ID)
    seconds = time.monotonic() - began
    after = alvys.stats()
    (manifest_file,) = set(LAKE.rglob("_manifest.json")) - known
    manifest = json.loads(manifest_file.read_text())
    rows = read_rows(manifest_file.parent, manifest)
    window = manifest["window"]
    searches = after["requests"].get("POST loads/search", 0) - before["requests"].get("POST loads/search", 0)
    reading = manifest_seconds(manifest)
    print(
        f"  {'rows':>12} {len(rows):>8,}   proof: {manifest['proof']}\n"
        f"  {'pages':>12} {manifest['requests']:>8}   of 200 rows, in {manifest['passes']} pass\n"
        f"  {'requests':>12} {searches:>8}   and {after['rate_limited'] - before['rate_limited']} refused by the rate limit\n"
        f"  {'tokens':>12} {after['tokens'] - before['tokens']:>8}\n"
        f"  {'seconds':>12} {reading:>8.1f}   reading, of {seconds:.1f} with Airflow's own start\n"
        f"  {'window':>12} {window['since']} … {window['until']}\n"
        f"  {'log':>12} {(DEMO / name.replace(' ', '-')).relative_to(ROOT)}.log"
    )
    truth = alvys.truth_keys(since=window["since"], until=window["until"])
    return {"rows": rows, "truth": set(truth)}


def manifest_seconds(manifest: dict[str, Any]) -> float:
    """Return how long the reading took."""
    from airflow_provider_alvys.api.windows import as_utc

    return (as_utc(manifest["read_until"], "until") - as_utc(manifest["read_from"], "from")).total_seconds()


def read_rows(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """Return the rows of a manifest's parts."""
    return [line for part in manifest["parts"] for line in gzip.open(folder / part["name"], "rt", encoding="utf-8")]


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
        "    (pip install 'airflow-provider-alvys[s3]'), and put dags_examples/alvys_loads_to_files.py into your DAG folder.\n"
        "  - A simulator to play with: .venv/bin/python -m airflow_provider_alvys.simulator"
    )


if __name__ == "__main__":
    main()
