"""What the options of a command name: a connection, a data set, streams."""

from __future__ import annotations

from airflow_provider_alvys.api.catalogue.streams import Stream, get_streams
from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.landing.dataset.listing import list_streams
from airflow_provider_alvys.landing.dataset.store import Store


def open_hook(conn_id: str) -> AlvysHook:
    """Return the hook of a connection. Raise AlvysValueError if it cannot be read."""
    hook = AlvysHook(conn_id)
    try:
        _ = hook.settings
    except AlvysError:
        raise
    except Exception as error:
        # Airflow's, of any type: there is no such connection, or its database cannot be read.
        raise AlvysValueError(
            f"The connection {conn_id!r} cannot be read: {error or type(error).__name__}. Give "
            "--conn-id the name of a connection of type Alvys, or set its AIRFLOW_CONN_... variable"
        ) from error
    return hook


def open_store(path: str) -> Store:
    """Return the data set at a path. Raise AlvysValueError if its storage cannot be opened."""
    try:
        return Store(path)
    except AlvysError:
        raise
    except Exception as error:
        # Airflow's, of any type: there is no such connection, or its database cannot be read.
        raise AlvysValueError(
            f"The path {path!r} cannot be opened: {error or type(error).__name__}. Name a connection of the "
            "storage, as in s3://aws_default@bucket/alvys"
        ) from error


def find_streams(store: Store, names: str | None) -> list[Stream]:
    """Return the streams named, separated by commas, or all that have a folder in the data set."""
    found = list_streams(store)
    if names:
        streams = get_streams([name.strip() for name in names.split(",")])
        if missing := [stream.name for stream in streams if stream not in found]:
            raise AlvysValueError(f"There are no {', '.join(missing)} in {store.path}")
        return streams
    if not found:
        raise AlvysValueError(f"There is no data set of Alvys in {store.path}: it has no folder of a stream")
    return found
