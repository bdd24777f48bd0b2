"""Imported by the fork server of :mod:`tests.tables.kill`: all that a load imports on its way."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import threading
from pathlib import Path

from airflow.sdk import BaseHook

from tests.tables.kill import CONNECTION
from tests.tables.runs import load, write_run

with tempfile.TemporaryDirectory(prefix="alvys-warm-") as folder:
    write_run(Path(folder), [{"Id": "L1", "Stops": [{"Id": "S1"}]}])
    for kind in ("postgres", "duckdb", "sqlite"):
        os.environ[CONNECTION] = json.dumps({"conn_type": kind, "host": f"{folder}/warm"})
        BaseHook.get_connection("sql").get_hook()
    load(Path(folder))
    del os.environ[CONNECTION]
# No fork looks for garbage in what all of them share; and a fork would lose threads.
gc.freeze()
assert threading.active_count() == 1, threading.enumerate()
