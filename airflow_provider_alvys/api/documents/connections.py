"""Connections to the storage of documents: to allowed addresses only, and with a deadline for each read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_provider_alvys.api.documents.addresses import AddressRules, literal_address, resolve
from airflow_provider_alvys.api.http.sessions import Deadline, read_until

Connect = Callable[[], socket.socket]


class StorageAdapter(HTTPAdapter):
    """
    Connect to addresses that ``rules`` allow, and read until ``deadline``, which each read must extend.

    A host is resolved once for a connection, all its addresses are judged, and the connection goes to one of
    them, so that a name server cannot answer differently in between. TLS still verifies the host's name. A
    proxy resolves names itself: then only literal addresses and local names can be judged.

    :param resolve: returns the addresses of a host.
    """

    def __init__(self, rules: AddressRules, resolve: Callable[[str], list[str]] = resolve) -> None:
        self.deadline = Deadline(0)
        self._rules = rules
        self._resolve = resolve
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self.deadline, self._connect)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _pool_classes(self.deadline, lambda _, connect: connect())
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request. Raises AddressRefusedError in addition to the errors of requests."""
        if select_proxy(str(request.url), kwargs.get("proxies")):
            self._rules.check_name(urlsplit(str(request.url)).hostname or "")
        return super().send(request, *args, **kwargs)

    def _connect(self, connection: HTTPConnection, connect: Connect) -> socket.socket:
        """Connect to one of a host's addresses after all have been judged."""
        host = connection._dns_host
        literal = literal_address(host)
        try:
            addresses = [literal] if literal else self._resolve(host)
        except OSError as error:
            raise NewConnectionError(connection, f"cannot resolve {host}: {error}") from error
        for address in addresses:
            self._rules.check_address(host, address)
        failure: Exception = NewConnectionError(connection, f"{host} has no address")
        for address in addresses:
            # A name server may return hundreds of addresses that do not respond.
            if self.deadline.left <= 0:
                break
            connection._dns_host = address
            try:
                return connect()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                # TLS verifies this name.
                connection._dns_host = host
        raise failure


def _pool_classes(
    deadline: Deadline, connect: Callable[[HTTPConnection, Connect], socket.socket]
) -> dict[str, type[HTTPConnectionPool]]:
    """Return urllib3's pools by scheme, with connections that ``connect`` opens and ``deadline`` limits."""

    class StorageResponse(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp: Any = read_until(deadline, self.fp, sock)

    class StorageHttp(HTTPConnection):
        response_class = StorageResponse

        def _new_conn(self) -> socket.socket:
            return connect(self, super()._new_conn)

    class StorageHttps(HTTPSConnection):
        response_class = StorageResponse

        def _new_conn(self) -> socket.socket:
            return connect(self, super()._new_conn)

    class StorageHttpPool(HTTPConnectionPool):
        ConnectionCls = StorageHttp

    class StorageHttpsPool(HTTPSConnectionPool):
        ConnectionCls = StorageHttps

    return {"http": StorageHttpPool, "https": StorageHttpsPool}
