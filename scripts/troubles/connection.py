"""Connection and Test button."""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys import AlvysSearchOperator
from scripts.troubles.bench import Bench


def wrong_secret(bench: Bench) -> Any:
    """
    The client id or the secret is wrong, or the secret has been rotated.

    Enter both again, as Alvys shows them under API access. The next task uses them; nothing has to be
    restarted.
    """
    return bench.connect(password="the-old-one").test_connection()[1]


def wrong_tenant(bench: Bench) -> Any:
    """
    The tenant id is wrong, or the credentials are newer ones, which need none.

    Leave the tenant id empty, unless Alvys gave you one with the client id.
    """
    hook = bench.connect(extra={"tenant_id": "acm", "auth_url": ""})
    return hook.test_connection()[1]


def unknown_host(bench: Bench) -> Any:
    """
    The API base URL names a host that does not exist, or there is no network.

    Correct the host, or leave it empty. Behind a proxy, set `HTTPS_PROXY` for scheduler, workers, triggerer
    and API server.
    """
    address = "https://alvys.invalid"
    return bench.connect(host=address, extra={"auth_url": f"{address}/oauth/token"}).test_connection()[1]


def refused(bench: Bench) -> Any:
    """
    Nothing listens at the host and port.

    Correct host and port: Alvys is at `https://integrations.alvys.com`. For the simulator, check that it
    runs.
    """
    return bench.connect(host="http://127.0.0.1:9").test_connection()[1]


def plain_http(bench: Bench) -> Any:
    """
    The host begins with `http://`, which would send the secret in clear text.

    Use `https://`. For a simulator on a private network, set *Allow plain http*.
    """
    return bench.connect(host="http://alvys.example").test_connection()[1]


def no_scopes(bench: Bench) -> Any:
    """
    The API client has no scope that the provider reads with.

    Grant the read scopes to the API client in Alvys, under API access.
    """
    bench.alvys.reset(scopes="load:update")
    return bench.connect().test_connection()[1]


def some_scopes(bench: Bench) -> Any:
    """
    The connection works, and some streams cannot be read with it.

    Grant the missing scopes, if you need those streams. `alvys_sync(on_missing_scope="skip")` leaves them
    out.
    """
    bench.alvys.reset(scopes="trip:read")
    return bench.connect().test_connection()[1]


def wrong_number(bench: Bench) -> Any:
    """
    A field of the connection is not valid.

    Correct the field that the message names, or leave it empty.
    """
    return bench.connect(extra={"page_size": "many"}).test_connection()[1]


def extra_is_no_object(bench: Bench) -> Any:
    """
    The extra of the connection is not a JSON object.

    Use the form, or write the extra as `{"page_size": 100}`.
    """
    return bench.connect(extra="page_size=100").test_connection()[1]


def missing_connection(bench: Bench) -> Any:
    """
    There is no connection of that name.

    Add a connection of type Alvys with this id, or give the task the id of yours as `alvys_conn_id`. In a
    script outside of a task, Airflow does not look into its database: set the connection's environment
    variable there, such as `AIRFLOW_CONN_ALVYS_PROD`.
    """
    return AlvysSearchOperator(task_id="a", stream="loads", alvys_conn_id="alvys_prod").execute({})


def gateway(bench: Bench) -> Any:
    """
    A proxy or a firewall answers in place of Alvys.

    Ask your network's administrators to let requests to `integrations.alvys.com` and `auth.alvys.com` pass.
    """
    bench.fail(kind="status", status=403, body="html", endpoint="POST loads/search")
    return bench.connect().count("loads")
