"""
Write a page of ``docs/reference`` from docstrings, the connection form, the parsers and the stored structs.

    python -m scripts.write_reference_page docs/reference/operators.md
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec.inspect as inspect_types

from scripts.docstrings import Docstring, read_docstring

ROOT = Path(__file__).parent.parent
_EXAMPLES = sorted((ROOT / "dags_examples").glob("*.py"))
_HEAD = """\
# {title}

<!-- Written by `make docs` from {source}. Do not edit. -->

{intro}
"""
_TYPES = {
    inspect_types.StrType: "text",
    inspect_types.IntType: "number",
    inspect_types.FloatType: "number",
    inspect_types.DateTimeType: "time",
    inspect_types.AnyType: "any value",
    inspect_types.StructType: "object",
    inspect_types.NoneType: "null",
}
_TASKS = """\
All arguments are keyword-only. Each {kind} also takes the arguments of Airflow's `{base}`, such as `task_id`, `retries` and
`pool`. Arguments marked T may be templates, outputs of other tasks, or mapped; the others are read while the DAG is parsed. Times are
aware datetimes or ISO 8601 texts with a time zone.
"""


def operators() -> str:
    """Return the page of the operators."""
    intro = _TASKS.format(kind="operator", base="BaseOperator")
    return _task_page("Operators", "Operator", f"{intro}\n{_overview('Operator')}")


def sensors() -> str:
    """Return the page of the sensors."""
    intro = _TASKS.format(kind="sensor", base="BaseSensorOperator")
    modes = _paragraphs(read_docstring(_named("airflow_provider_alvys.sensors.base", "AlvysSensor")).prose)
    return _task_page("Sensors", "Sensor", f"{intro}\n{modes}\n{_overview('Sensor')}")


def triggers() -> str:
    """Return the page of the triggers."""
    intro = (
        "`AlvysChangeTrigger` starts DAGs when records change: give it to an `AssetWatcher`. The sensors bring\n"
        "their own triggers."
    )
    page = _head("Triggers", "docstrings", intro)
    return page + _callable_section("AlvysChangeTrigger", _export("AlvysChangeTrigger"))


def task_groups() -> str:
    """Return the page of the task groups, and of the functions that go with them."""
    names = ("alvys_sync", "alvys_first_load", "alvys_backfill")
    helpers = (
        "RecentParents",
        "alvys_asset",
        "alvys_documents_asset",
        "alvys_table_asset",
        "alvys_freshness",
    )
    intro = (
        "Functions that add tasks to a DAG: call them inside `with DAG(...)`. Below them: recent parents, assets, and "
        "how fresh a data set is."
    )
    page = _head("Task groups and assets", "docstrings", intro)
    return page + "\n".join(_callable_section(name, _export(name)) for name in (*names, *helpers))


def hook() -> str:
    """Return the page of the hook."""
    found = _export("AlvysHook")
    page = _head("Hook", "docstrings", f"{read_docstring(found).summary}\n")
    page += _callable_section("AlvysHook", found, heading="## Create a hook")
    for name, method in inspect.getmembers(found, inspect.isfunction):
        if name in vars(found) and not name.startswith("_"):
            page += "\n" + _callable_section(f"hook.{name}", method)
    return page


def connection() -> str:
    """Return the page of the connection's fields."""
    from airflow_provider_alvys import connection_form as form

    intro = (
        "The fields of a connection of type **Alvys**, as the form shows them. Only client id and client secret are required; leave a\n"
        "field empty to use its default. [Connect to Alvys](../connection.md) says how to use them.\n"
    )
    page = _head("Connection fields", "airflow_provider_alvys/connection_form.py", intro)
    helps = form.PLACEHOLDERS
    standard = [
        (
            label,
            f"`{name}`",
            "integer" if name == "port" else "string",
            f"placeholder: {helps[name]}" if name in helps else "required",
        )
        for name, label in (form.RELABELING | {"port": "Port"}).items()
    ]
    page += _table(("label", "key", "type", "help"), sorted(standard, key=lambda row: row[3] != "required"))
    extras = [
        (field.label, f"`{field.name}`", field.kind, field.description.replace("<", "&lt;"))
        for field in form.FIELDS
    ]
    page += f"\nStored in the connection's `extra`, as JSON:\n\n{_table(('label', 'key', 'type', 'help'), extras)}"
    return page


def cli() -> str:
    """Return the page of the command lines."""
    from airflow_provider_alvys.cli.definition import COMMANDS
    from airflow_provider_alvys.simulator.__main__ import _parser as simulator_parser

    intro = (
        "Since Airflow 3.2, `airflow alvys` has the same commands as `python -m airflow_provider_alvys`. Each command prints this with\n"
        "`--help`. It exits with 2 if an argument is wrong, and with 1 if it fails otherwise."
    )
    page = _head("Command line", "the definitions of the commands", intro)
    for path, command in _commands(COMMANDS):
        parser = argparse.ArgumentParser()
        for option in command.options:
            parser.add_argument(*option.flags, **option.settings)
        page += (
            f"\n## python -m airflow_provider_alvys {path}\n\n{_sentence(command.help)}\n\n{_options(parser)}"
        )
    simulator = simulator_parser()
    page += f"\n## {simulator.prog}\n\n{simulator.description} See [simulator.md](simulator.md).\n\n"
    page += _options(simulator)
    return page


def _commands(commands: Iterable[Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands with what one types, without those that are groups."""
    for command in commands:
        path = f"{above} {command.name}".strip()
        if not command.commands:
            yield path, command
        yield from _commands(command.commands, path)


def fields() -> str:
    """Return the page of the fields of stored files, XComs and asset events."""
    from airflow_provider_alvys.landing.dataset import cursor, manifest

    intro = (
        "The fields of the files of a data set that are meant to be read, and of XComs and asset events.\n"
        "[Data set](data-set.md) describes the files.\n"
    )
    page = _head("Fields", "the types of the package", intro)
    for title, struct in (
        ("Manifest", manifest.Manifest),
        ("Manifest: `parts`", manifest.Part),
        ("Manifest: `window`", manifest.ManifestWindow),
        ("Manifest: `searches`", manifest.ManifestSearch),
        ("Manifest: `parents`", manifest.ManifestParents),
        ("Cursor", cursor.Cursor),
    ):
        doc = read_docstring(struct)
        rows = [
            (f"`{field.encode_name}`", _type(field.type), doc.params[field.name])
            for field in inspect_types.type_info(struct).fields  # type: ignore[attr-defined]
        ]
        page += f"\n## {title}\n\n{doc.summary}\n\n{_table(('field', 'type', 'meaning'), rows)}"
    page += "\n## XComs and asset events\n\nThe extra of an asset event is the XCom of its task.\n\n"
    xcoms = [
        (f"[{name}]({page_of}#{name.lower()})", doc.returns)
        for kind, page_of in (("Operator", "operators.md"), ("Sensor", "sensors.md"))
        for name, doc in ((name, read_docstring(task)) for name, task in _tasks(kind))
    ]
    return page + _table(("task", "XCom"), xcoms)


PAGES: Mapping[str, Callable[[], str]] = {
    "operators": operators,
    "sensors": sensors,
    "triggers": triggers,
    "task-groups": task_groups,
    "hook": hook,
    "connection": connection,
    "cli": cli,
    "fields": fields,
}


def _task_page(title: str, kind: str, intro: str) -> str:
    from scripts.xcom_examples import run_all

    xcoms = run_all()
    page = _head(title, "docstrings, and the XComs from runs against the simulator", intro)
    return page + "\n".join(
        _callable_section(name, task, xcom=json.dumps(xcoms[name], indent=2, ensure_ascii=False))
        for name, task in _tasks(kind)
    )


def _tasks(kind: str) -> Iterator[tuple[str, Any]]:
    import airflow_provider_alvys

    for name in airflow_provider_alvys.__all__:
        if name.endswith(kind):
            yield name, _export(name)


def _overview(kind: str) -> str:
    rows = [(f"[{name}](#{name.lower()})", read_docstring(task).summary) for name, task in _tasks(kind)]
    return _table((kind.lower(), "what it does"), rows)


def _callable_section(name: str, thing: Any, *, heading: str = "", xcom: str = "") -> str:
    doc = read_docstring(thing)
    text = f"{heading or f'## {name}'}\n\n"
    if not heading:
        text += f"{doc.summary}\n\n"
    text += _paragraphs(doc.prose)
    if name.startswith("hook."):
        text += f"```text\n{_call(name, thing)}\n```\n\n"
    else:
        text += f"```py\nfrom airflow_provider_alvys import {name}\n```\n\n"
    text += _parameters(thing, doc)
    if doc.returns:
        text += f"**{'XCom' if xcom else 'Returns'}:** {doc.returns}\n\n"
    if xcom:
        text += f"```json\n{xcom}\n```\n\n"
    for title, note in doc.notes.items():
        text += f"**{title}:** {note}\n\n"
    if doc.raises:
        text += _table(("error", "when"), [(f"`{error}`", when) for error, when in doc.raises]) + "\n"
    if example := _example(name):
        text += example
    return text


def _call(name: str, method: Any) -> str:
    """Return a call of a method with all of its parameters and defaults."""
    signature = inspect.signature(method)
    plain = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return f"{name}{inspect.Signature(plain)}"


def _parameters(thing: Any, doc: Docstring) -> str:
    if not doc.params:
        return ""
    signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters
    templated = getattr(thing, "template_fields", ())
    rows = []
    for name, meaning in doc.params.items():
        parameter = signature[name]
        mark = "T" if name in templated else ""
        if parameter.kind is parameter.VAR_KEYWORD:
            rows.append((f"`**{name}`", "", mark, meaning))
        elif parameter.default is parameter.empty:
            rows.append((f"`{name}`", "required", mark, meaning))
        else:
            rows.append((f"`{name}`", f"`{parameter.default!r}`", mark, meaning))
    if not any(row[2] for row in rows):
        return _table(("parameter", "default", "meaning"), [(*row[:2], row[3]) for row in rows]) + "\n"
    return _table(("parameter", "default", "", "meaning"), rows) + "\n"


def _example(name: str) -> str:
    """Return the first statement of dags_examples that calls a name, with a link to its file."""
    for file in _EXAMPLES:
        source = file.read_text()
        for statement in _statements(ast.parse(source)):
            if any(_called(node) == name for node in ast.walk(statement)):
                lines = source.splitlines()[statement.lineno - 1 : statement.end_lineno]
                code = textwrap.dedent("\n".join(lines))
                return f"From [{file.name}](../../dags_examples/{file.name}):\n\n```py\n{code}\n```\n"
    return ""


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield the assignments and expressions of a file, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.Expr)):
            yield node


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "partial":
        function = function.value
    return function.id if isinstance(function, ast.Name) else ""


def _options(parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        shown = action.default if action.default not in (None, argparse.SUPPRESS) else ""
        text = (action.help or "").replace(" (default: %(default)s)", "").replace("%%", "%")
        choices = f"one of {', '.join(f'`{choice}`' for choice in action.choices)}" if action.choices else ""
        default = "required" if action.required else f"`{shown}`" if shown != "" else ""
        flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
        rows.append((flags, default, "; ".join(filter(None, (text, choices)))))
    return _table(("option", "default", "meaning"), rows)


def _type(kind: inspect_types.Type) -> str:
    """Return the type of a value in a JSON file, in words."""
    match kind:
        case inspect_types.UnionType(types):
            return " or ".join(_type(one) for one in types)
        case inspect_types.LiteralType(values):
            return " or ".join(f"`{value}`" for value in values)
        case inspect_types.ListType(item_type=item):
            return f"list of {_type(item)}"
        case inspect_types.DictType(value_type=value):
            return f"object of {_type(value)}"
    return _TYPES[type(kind)]


def _head(title: str, source: str, intro: str) -> str:
    return _HEAD.format(title=title, source=source, intro=intro.strip()) + "\n"


def _paragraphs(paragraphs: Iterable[str]) -> str:
    return "".join(f"{paragraph}\n\n" for paragraph in paragraphs)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _export(name: str) -> Any:
    import airflow_provider_alvys

    return getattr(airflow_provider_alvys, name)


def _named(module: str, name: str) -> Any:
    from importlib import import_module

    return getattr(import_module(module), name)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        # Importing Airflow creates files in its home.
        os.environ.setdefault("AIRFLOW_HOME", home)
        target = Path(sys.argv[1])
        target.write_text(PAGES[target.stem]().rstrip() + "\n")
