"""
The app behind the status page: static files, and facts of the catalogue.

The page itself asks Airflow's API for everything else, with the rights of the user who looks at it.
"""

from __future__ import annotations

import logging
import math
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view, requires_authenticated
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
from fastapi import Depends, FastAPI, HTTPException, Response

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream
from airflow_provider_alvys.api.read.windows import in_seconds
from airflow_provider_alvys.landing.dataset.manifest import LATE_AFTER

log = logging.getLogger(__name__)

_FILES = Path(__file__).parent / "files"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_BUSY_SHARE = 0.8


def build_app() -> FastAPI:
    """Return the app. Airflow's own login protects it: a mounted app inherits no dependencies."""
    app = FastAPI(
        title="Alvys status page",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[
            Depends(requires_authenticated()),
            Depends(requires_access_view(AccessView.WEBSITE)),
        ],
    )
    files = {file.name: (file.read_bytes(), _TYPES[file.suffix]) for file in _FILES.iterdir()}

    @app.middleware("http")
    async def add_headers(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.get("/settings.json")
    def settings() -> dict[str, Any]:
        return page_settings()

    @app.get("/")
    @app.get("/{name}")
    def file(name: str = "page.html") -> Response:
        if name not in files:
            raise HTTPException(404)
        content, media_type = files[name]
        return Response(content, media_type=media_type)

    return app


def page_settings() -> dict[str, Any]:
    """Return what the page has to know beside Airflow's API: thresholds, streams, the address of the docs."""
    entries = metadata("airflow-provider-alvys").get_all("Project-URL") or []
    urls = dict(entry.split(", ", 1) for entry in entries)
    return {
        "docs": urls["Documentation"],
        "late_after": _threshold("status_page_late_after", LATE_AFTER),
        "busy_share": _threshold("status_page_busy_share", _BUSY_SHARE),
        "streams": {name: _facts(stream) for name, stream in STREAMS.items()},
    }


def _threshold(option: str, default: float) -> float:
    try:
        value = conf.getfloat("alvys", option, fallback=default)
    except AirflowConfigException as error:
        log.error("The status page uses %s=%s: %s", option, default, error)
        return default
    if not 0 < value < math.inf:
        log.error("The status page uses %s=%s: %s is not a positive number", option, default, value)
        return default
    return value


def _facts(stream: Stream) -> dict[str, Any]:
    return {
        "requests_per_minute": stream.limit.requests,
        "cadence": in_seconds(stream.cadence_of(stream.default_window)),
    }
