"""Try an installed wheel, outside of the source tree: what it holds, and that it works. ``make wheel`` calls this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

HOME = tempfile.TemporaryDirectory(prefix="alvys-wheel-")
os.chdir(HOME.name)
os.environ |= {"AIRFLOW_HOME": HOME.name, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

from airflow_provider_alvys import AlvysHook, AlvysToObjectStorageOperator, __file__, __version__  # noqa: E402
from airflow_provider_alvys.simulator.process import Simulator  # noqa: E402


def main() -> None:
    """Fail loudly if anything is missing."""
    wheel = distribution("airflow-provider-alvys")
    names = {str(file) for file in wheel.files or ()}
    assert wheel.version == __version__
    assert "site-packages" in __file__, f"not the wheel, but {__file__}"
    assert "airflow_provider_alvys/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    strangers = {
        name for name in names if not name.startswith(("airflow_provider_alvys/", "airflow_provider_alvys-"))
    }
    assert not strangers, f"the wheel holds {strangers}"

    airflow = Path(sys.executable).with_name("airflow")
    described = subprocess.run(
        [airflow, "providers", "get", "airflow-provider-alvys", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(described.stdout)[0]["Version"] == __version__

    with Simulator(loads=500) as alvys:
        os.environ["AIRFLOW_CONN_ALVYS_DEFAULT"] = alvys.connection_json(requests_per_minute=0)
        worked, sentence = AlvysHook().test_connection()
        assert worked, sentence
        operator = AlvysToObjectStorageOperator(
            task_id="land",
            stream="loads",
            path=f"{HOME.name}/lake",
            initial_since="2026-01-01T00:00:00Z",
            settling=0,
        )
        result = operator.execute({})
        truth = alvys.truth_keys(since=result["since"], until=result["until"])
        assert (result["rows"], result["proof"]) == (len(truth), "whole"), result
    print(f"The wheel of {__version__} works: {sentence} {result['rows']} landed.")


if __name__ == "__main__":
    main()
