"""
Write ``docs/troubleshooting.md``: provoke each trouble against a simulator, and show what a user sees.

    python -m scripts.write_troubleshooting_page docs/troubleshooting.md
"""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from airflow_provider_alvys.api import errors
from airflow_provider_alvys.simulator.process import Simulator
from scripts.docstrings import read_docstring
from scripts.troubles import connection, documents, log, parse, sensors, sync, tables, webhooks, writes
from scripts.troubles.bench import Provoked, Trouble, provoke, troubles_of

GROUPS = (connection, sync, tables, writes, documents, sensors, webhooks, log)

_HEAD = """\
# Troubleshooting

<!-- Written by `make docs` from scripts/troubles. Do not edit. -->

Search this page for the beginning of your message. Each message was provoked against a simulated Alvys and is shown as it appears in
the UI or in the log of a task; names, times and ids differ. Errors say what happened, why, and what to do. What to do about the nine
troubles that need several steps, such as expired credentials or a hole, is in the [Runbook](runbook.md).
"""

# The first is provoked by tests/ui/test_connection_form.py.
_AIRFLOW = """\
## Messages of Airflow itself

### The Test button answers "Bad Request"

The connection has no port. Airflow 3.3 refuses to test such a connection, of any type. [Enter 443](connection.md#test-the-connection).

### The list of connection types does not have Alvys

The package was installed after the API server had started: restart it. If the type is still missing, run
`airflow providers get airflow-provider-alvys` in the API server's environment.

### Tasks stay in the state "scheduled"

```text
WARNING Tasks using non-existent pool 'alvys' will not be scheduled
```

The scheduler's log has this line. [Create the pool](limits.md#several-workers-use-a-pool), or remove `[alvys] pool`.
"""

# Errors that are retried only if an attribute is true.
_RETRIED_IF = {errors.AlvysNotFoundError: "is_stray", errors.AlvysUnknownOutcomeError: "may_repeat"}


def provoke_all(alvys: Simulator, folder: Path) -> dict[str, Provoked]:
    """Provoke all troubles, and return what a user sees of each, by :func:`name_of`."""
    return {
        name_of(module, trouble): provoke(trouble, alvys, folder / name_of(module, trouble))
        for module in GROUPS
        for trouble in troubles_of(module)
    }


def name_of(module: ModuleType, trouble: Trouble) -> str:
    """Return a name of a trouble that no other has."""
    return f"{module.__name__.rpartition('.')[2]}-{trouble.name}"


def page(provoked: Mapping[str, Provoked]) -> str:
    """Return the page."""
    sections = ["".join(_section(module, provoked)) for module in GROUPS]
    # Most see the first messages of a new DAG next.
    return "\n".join([_HEAD, sections[0], _parse_section(), *sections[1:], _AIRFLOW, _types()])


def _section(module: ModuleType, provoked: Mapping[str, Provoked]) -> Iterator[str]:
    yield f"## {(module.__doc__ or '').strip().rstrip('.')}\n"
    for trouble in troubles_of(module):
        shown = _shown(provoked[name_of(module, trouble)].text)
        yield f"\n### {trouble.cause.rstrip('.')}\n\n{shown}\n{trouble.advice}\n"


def _parse_section() -> str:
    title, _, text = (parse.__doc__ or "").strip().partition("\n")
    text = f"## {title.rstrip('.')}\n{text}\n"
    for expression in parse.EXPRESSIONS:
        text += f"\n```py\n{expression}\n```\n\n{_shown(parse.message_of(expression))}"
    return text


def _shown(message: str) -> str:
    wrap = textwrap.TextWrapper(84, break_long_words=False, break_on_hyphens=False)
    lines = "\n".join(map(wrap.fill, message.splitlines()))
    return f"```text\n{lines}\n```\n"


def error_types() -> list[type[errors.AlvysError]]:
    """Return all public error types, bases first."""
    return [
        found
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.AlvysError)
    ]


def _types() -> str:
    lines = [
        "## Error types",
        "",
        "All are in `airflow_provider_alvys.api.errors`. An error that no retry can help fails the task at once,",
        "whatever its `retries`.",
        "",
        "| type | meaning | attributes | retried |",
        "| --- | --- | --- | --- |",
    ]
    for error_type in error_types():
        doc = read_docstring(error_type)
        meaning = " ".join([doc.summary, *doc.prose])
        attributes = "; ".join(f"`{name}`: {text.rstrip('.')}" for name, text in doc.params.items())
        retried = _retried(error_type)
        lines.append(f"| `{error_type.__name__}` | {meaning} | {attributes} | {retried} |")
    return "\n".join(lines) + "\n"


def _retried(error_type: type[errors.AlvysError]) -> str:
    if condition := _RETRIED_IF.get(error_type):
        return f"if `{condition}`"
    return "no" if issubclass(error_type, errors._NOT_RETRYABLE) else "yes"


def main(target: Path) -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, Simulator() as alvys:
        target.write_text(page(provoke_all(alvys, Path(folder))))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        # Importing Airflow creates files in its home.
        os.environ.setdefault("AIRFLOW_HOME", home)
        main(Path(sys.argv[1]))
