"""Who may call the control endpoints: programs on this machine, and no web page that a browser shows here."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_alvys.simulator.protocol.http import json_response

# What a browser says of a request by a page of the same origin, or by the user.
_OWN_SITES = ("same-origin", "none")


class ControlGuard:
    """
    Refuse requests that a web page may have caused.

    Its Host must be a loopback address: any page can let a name of its own lead to 127.0.0.1. Its Origin, if
    it has one, must be the same.

    :param app: the control endpoints.
    :param host: another accepted Host, the address that the simulator listens on.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal:
            await json_response({"error": refusal}, 403)(scope, receive, send)
        elif request.method == "POST" and _media_type(request) != "application/json":
            error = {"error": "Send the header Content-Type: application/json."}
            await json_response(error, 415)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> str | None:
        # Every browser sends one.
        hosts = request.headers.getlist("host")
        if len(hosts) > 1 or not all(map(self._is_own, hosts)):
            return "The Host of a control request must be a loopback address, such as localhost."
        if any(
            origin not in [f"http://{host}" for host in hosts] for origin in request.headers.getlist("origin")
        ):
            return "A control request must not come from a page of another origin."
        if any(site not in _OWN_SITES for site in request.headers.getlist("sec-fetch-site")):
            return "A control request must not come from another site."
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == self._host or is_loopback(name)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, for itself only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
