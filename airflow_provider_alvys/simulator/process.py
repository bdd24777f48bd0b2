"""A simulator in a separate process."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Any

import msgspec
import requests

from airflow_provider_alvys.simulator.__main__ import connection_json
from airflow_provider_alvys.simulator.options import make_options


class Simulator:
    """
    Start a simulator on a free port; it ends with the ``with`` block, or with this process.

    :param options: see :class:`airflow_provider_alvys.simulator.options.Options`.
    :raises RuntimeError: the simulator did not start.
    """

    def __init__(self, **options: Any) -> None:
        self.options = make_options(options)
        command = [
            sys.executable,
            "-m",
            "airflow_provider_alvys.simulator",
            "--port",
            "0",
            "--stop-with-stdin",
        ]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
        self._session = requests.Session()
        self._session.trust_env = False
        # The server closes idle connections after a few seconds.
        self._session.headers["Connection"] = "close"
        self.url = self._process.stdout.readline().strip() if self._process.stdout else ""
        if not self.url.startswith("http"):
            raise RuntimeError(f"The simulator did not start: {' '.join(command)}")
        self.reset(**options)

    def __enter__(self) -> Simulator:
        """Return the simulator."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the simulator."""
        self.stop()

    def stop(self) -> None:
        """Stop the simulator."""
        self._session.close()
        self._process.terminate()
        self._process.communicate()

    def connection_json(self, **extra: Any) -> str:
        """
        Return an Airflow connection to the simulator as JSON.

        :param extra: further fields of the connection's extra, such as ``requests_per_minute=0``.
        """
        connection = msgspec.json.decode(connection_json(self.url, self.options))
        connection["extra"] |= extra
        return msgspec.json.encode(connection).decode()

    def reset(self, **options: Any) -> None:
        """
        Start over with these options, and the defaults of all others.

        :param options: see :class:`airflow_provider_alvys.simulator.options.Options`.
        """
        self.options = make_options(options)
        self._post("reset", msgspec.to_builtins(self.options))

    def stats(self) -> dict[str, Any]:
        """Return the counts of requests, responses, faults and mutations since the last reset."""
        return dict(self._call("GET", "stats").json())

    def tokens(self) -> list[str]:
        """Return the tokens issued since the last reset."""
        return list(self._call("GET", "tokens").json()["tokens"])

    def effects(self) -> dict[str, int]:
        """Return the number of writes that changed something since the last reset, by operation."""
        return dict(self._call("GET", "effects").json())

    def effects_list(self) -> list[dict[str, Any]]:
        """Return the ``operation``, ``path``, ``body`` and time (``at``) of these writes, in order."""
        return list(self._call("GET", "effects", params={"format": "list"}).json())

    def subscribe(self, url: str, **webhook: Any) -> dict[str, str]:
        """
        Create an active webhook.

        :param url: where its events are delivered.
        :param webhook: ``events``: a list of event types; without it, all.
        :return: its ``id`` and ``secret``.
        """
        return dict(self._post("webhooks", {"url": url, **webhook}).json())

    def deliveries(self, *, wait: bool = True) -> list[dict[str, Any]]:
        """
        Return all attempts to deliver events since the last reset.

        :param wait: whether to wait for pending ones first.
        """
        return list(self._call("GET", "deliveries", params={"wait": "true"} if wait else {}).json())

    def deliver(self, **delivery: Any) -> dict[str, Any]:
        """
        Deliver an event once, valid or forged.

        :param delivery: fields of ``POST /_sim/deliver``; see ``docs/reference/simulator.md``.
        :return: the response's ``status``, and the ``event_id``.
        """
        return dict(self._post("deliver", delivery).json())

    def order_faults(self, *faults: dict[str, Any]) -> None:
        """
        Set the faults of the next calls, in place of earlier ones.

        :param faults: objects of ``POST /_sim/faults``; see ``docs/reference/simulator.md``.
        """
        self._post("faults", list(faults))

    def order_mutations(self, *mutations: dict[str, Any]) -> None:
        """
        Set the changes of data after each search, in place of earlier ones.

        :param mutations: objects of ``POST /_sim/mutations``; see ``docs/reference/simulator.md``.
        """
        self._post("mutations", list(mutations))

    def change(self, **change: Any) -> list[str]:
        """
        Update rows now.

        :param change: fields of ``POST /_sim/change``: ``stream``, ``rows`` (how many), ``keys`` or ``where``
            (which), ``columns`` (new values), ``at`` (a time).
        :return: the keys of the rows.
        """
        return list(self._post("change", change).json()["keys"])

    def add(self, **addition: Any) -> list[str]:
        """
        Add rows now.

        :param addition: fields of ``POST /_sim/add``: ``stream``, ``rows`` (how many), ``columns`` (values),
            ``parent`` (key of the parent).
        :return: the keys of the rows.
        """
        return list(self._post("add", addition).json()["keys"])

    def remove(self, **removal: Any) -> list[str]:
        """
        Remove rows without a trace.

        :param removal: fields of ``POST /_sim/remove``: ``stream``, ``rows`` (how many), ``keys`` or
            ``where`` (which).
        :return: the keys of the rows.
        """
        return list(self._post("remove", removal).json()["keys"])

    def set_clock(self, now: float, *, stopped: bool = False) -> None:
        """
        Set the simulator's clock.

        :param now: seconds since 1970.
        :param stopped: whether it stops there, until it is set again or ``advance`` moves it.
        """
        self._post("clock", {"now": now, "stopped": stopped})

    def answers(self, as_of: str | None = None) -> dict[str, Any]:
        """
        Return the answers to business questions, computed from the records.

        :param as_of: the day at whose end they hold, such as ``2026-05-31``; None means today.
        :return: the lists of ``GET /_sim/answers``; see ``docs/reference/simulator.md``.
        """
        return dict(self._call("GET", "answers", params=_texts({"as_of": as_of})).json())

    def advance(self, *, days: float = 0, hours: float = 0) -> float:
        """
        Let time pass: the company works, and the clock moves.

        :param days: days of 24 hours; fractions count.
        :param hours: hours in addition.
        :return: the simulator's time afterwards, in seconds since 1970.
        """
        return float(self._post("advance", {"days": days, "hours": hours}).json()["now"])

    def changes(self, *, stream: str | None = None, since: str | None = None) -> list[dict[str, Any]]:
        """
        Return the changes of rows since the last reset, in the order in which they were made.

        :param stream: only of this stream; None means all.
        :param since: only from this time on; None means all.
        :return: dicts with ``at``, ``stream``, ``key``, ``change`` (``added``, ``changed`` or ``removed``)
            and ``row``, the record afterwards.
        """
        lines = self._call("GET", "changes", params=_texts({"stream": stream, "since": since})).content
        return [msgspec.json.decode(line) for line in lines.splitlines()]

    def truth_keys(self, **query: Any) -> list[str]:
        """
        Return the keys that a search should find now.

        :param query: parameters of ``GET /_sim/truth``: ``stream``, ``filters``, ``parents``, the window.
        """
        return list(self._call("GET", "truth", params=_texts(query)).json()["keys"])

    def truth_rows(self, **query: Any) -> list[bytes]:
        """
        Return the rows that a search should find now, each as JSON.

        :param query: as for :meth:`truth_keys`.
        """
        return self._call("GET", "truth", params={**_texts(query), "format": "rows"}).content.splitlines()

    def _post(self, name: str, value: Any) -> requests.Response:
        json = {"Content-Type": "application/json"}
        return self._call("POST", name, data=msgspec.json.encode(value), headers=json)

    def _call(self, method: str, name: str, **kwargs: Any) -> requests.Response:
        response = self._session.request(method, f"{self.url}/_sim/{name}", timeout=60, **kwargs)
        if response.status_code != 200:
            raise RuntimeError(f"/_sim/{name} responded with {response.status_code}: {response.text}")
        return response


def _texts(query: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in query.items()
        if value is not None
    }
