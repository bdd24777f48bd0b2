"""The documented rate limits, by endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint


@dataclass(frozen=True)
class Limit:
    """
    A documented rate limit of one endpoint.

    :param requests: allowed per minute.
    :param block: seconds for which the endpoint refuses all requests after the limit was exceeded.
    :param spacing: minimum seconds between two requests.
    """

    requests: int
    block: float
    spacing: float = 0.0


# From Alvys's page on rate limits. Its default rule allows one request in the first second: the spacing.
DEFAULT_LIMIT = Limit(10, 180, spacing=1.0)
LIMITS: Mapping[str, Limit] = {
    "GET drivers/{id}": Limit(10, 180),
    "GET drivers": Limit(5, 60),
    "POST drivers/search": Limit(10, 60),
    "POST drivers/events/search": Limit(10, 180),
    "GET fuel/{id}": Limit(10, 180),
    "POST fuel/search": Limit(5, 60),
    "GET invoices": Limit(5, 180),
    "POST invoices/search": Limit(10, 180),
    "GET loads": Limit(5, 180),
    "POST loads/search": Limit(10, 180),
    "GET maintenance/{id}": Limit(10, 180),
    "POST maintenance/search": Limit(10, 60),
    "GET tolls/{id}": Limit(10, 180),
    "POST tolls/search": Limit(10, 60),
    "GET trailers/{id}": Limit(10, 180),
    "GET trailers": Limit(5, 180),
    "POST trailers/search": Limit(10, 180),
    "POST trailers/events/search": Limit(10, 180),
    "GET trips": Limit(5, 180),
    "POST trips/search": Limit(10, 180),
    "GET trucks/{id}": Limit(10, 180),
    "GET trucks": Limit(5, 180),
    "POST trucks/search": Limit(10, 180),
    "POST trucks/events/search": Limit(10, 180),
    "GET users/list": Limit(5, 180),
    "POST users/search": Limit(10, 180),
}
# Of one token, for all endpoints together.
REQUESTS_PER_SECOND = 10


def limit_of(endpoint: Endpoint) -> Limit:
    """Return the documented limit of an endpoint."""
    return LIMITS.get(str(endpoint), DEFAULT_LIMIT)
