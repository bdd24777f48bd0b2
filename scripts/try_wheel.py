"""Check an installed wheel: its files, its provider info, the example DAGs, and a sync."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "dags_examples"
HOME = tempfile.TemporaryDirectory(prefix="alvys-wheel-")
os.chdir(HOME.name)
os.environ |= {"AIRFLOW_HOME": HOME.name, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
# A DAG that needs an extra is logged with its traceback.
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"

from airflow_provider_alvys import AlvysHook, AlvysToObjectStorageOperator, __file__, __version__  # noqa: E402
from airflow_provider_alvys.simulator.process import Simulator  # noqa: E402


def main() -> None:
    """Fail if a file is missing or the sync is wrong."""
    wheel = distribution("airflow-provider-alvys")
    names = {str(file) for file in wheel.files or ()}
    assert wheel.version == __version__
    assert "site-packages" in __file__, f"imported from {__file__}, not from the wheel"
    assert "airflow_provider_alvys/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    others = {
        name for name in names if not name.startswith(("airflow_provider_alvys/", "airflow_provider_alvys-"))
    }
    assert not others, f"unexpected files in the wheel: {others}"

    airflow = Path(sys.executable).with_name("airflow")
    described = subprocess.run(
        [airflow, "providers", "get", "airflow-provider-alvys", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(described.stdout)[0]["Version"] == __version__

    # Airflow 3.1 has it in another module.
    is_new = importlib.util.find_spec("airflow.dag_processing.dagbag")
    dagbag = importlib.import_module("airflow.dag_processing.dagbag" if is_new else "airflow.models.dagbag")
    examples = dagbag.DagBag(EXAMPLES)
    # Some need an extra, and say so.
    errors = [error for error in examples.import_errors.values() if "airflow-provider-alvys[" not in error]
    assert not errors, errors[0]
    files = len(list(EXAMPLES.glob("*.py")))
    assert 0 < files <= len(examples.dags) + len(examples.import_errors)

    with Simulator(loads=500) as alvys:
        os.environ["AIRFLOW_CONN_ALVYS_DEFAULT"] = alvys.connection_json(requests_per_minute=0)
        succeeded, message = AlvysHook().test_connection()
        assert succeeded, message
        operator = AlvysToObjectStorageOperator(
            task_id="land",
            stream="loads",
            path=f"{HOME.name}/lake",
            initial_since="2026-01-01T00:00:00Z",
            settling=0,
        )
        result = operator.execute({})
        expected = alvys.truth_keys(since=result["since"], until=result["until"])
        assert (result["rows"], result["proof"]) == (len(expected), "whole"), result
    print(f"The wheel of version {__version__} works: {message}")
    print(f"{result['rows']} rows landed, {len(examples.dags)} example DAGs read")


if __name__ == "__main__":
    main()
