"""Short tracebacks: a log shows what an error says, and only at DEBUG where in this package it arose."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from airflow_provider_alvys.api.errors import AlvysError

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


def shorten(error: AlvysError) -> AlvysError:
    """
    Return an error, to raise again, without its frames and its cause: the message says what they say.

    A log at level DEBUG has all of them.
    """
    log.debug("%s: %s", type(error).__name__, error, exc_info=error)
    error.__cause__ = None
    return error.with_traceback(None)


def short_traceback(function: F) -> F:
    """Make a function raise errors of this package with a traceback that begins here."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except AlvysError as error:
            raise shorten(error) from None

    return cast("F", wrapper)
