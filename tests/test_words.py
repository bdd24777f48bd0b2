"""The words of the project: plain English and the terms of docs/glossary.md."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_alvys
from airflow_provider_alvys import AlvysHook, connection_form
from airflow_provider_alvys.__main__ import _parser
from airflow_provider_alvys.simulator.__main__ import _parser as simulator_parser
from airflow_provider_alvys.transfers.first_load import AlvysBeginFirstLoadOperator, AlvysHandOverOperator
from scripts.docstrings import read_docstring
from tests.conftest import ROOT

PLACES = ("airflow_provider_alvys", "docs", "tests", "scripts", "bench", "dags_examples")
FILES = sorted(
    file
    for place in PLACES
    for file in (ROOT / place).rglob("*")
    if file.suffix in (".py", ".md")
    and file != Path(__file__)
    and file.parent != ROOT / "tests" / "contracts"
) + [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile")]
# Words in whose place docs/glossary.md, or plain English, has a common one.
PRIVATE_WORDS = (
    r"(?<!file\.)tells?",
    r"told",
    r"telling",
    r"in vain",
    r"strangers?",
    r"stretch(es)?",
    # A settled invoice is an accounting term.
    r"settles?|(?<!is )settled",
    r"go(es|ing)? on",
    r"went on",
    r"gone on",
    r"there (is|are) none",
    r"what is there",
    r"turned away",
    r"(?<!ast\.)(page )?walks?",
    r"walked",
    r"hand(s|ed)? over",
    r"has come to",
    r"how far it has come",
    r"as far as it can",
    r"of late",
    r"come[s]? about",
    r"upkeep",
    r"vanish(es|ed)?",
    r"whosever",
    r"this is no",
    r"(?<!there )is no (event|manifest|path|name|number|text|list|record|stream)",
    r"held against",
    r"goes? (its|their) own way",
    r"is good for",
    r"mend(s|ed|ing)?",
)
PATTERN = re.compile(rf"\b({'|'.join(PRIVATE_WORDS)})\b", re.IGNORECASE)


def test_no_private_word_is_used() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        # A stored key keeps its word.
        if PATTERN.search(re.sub(r'field\(.*name="\w+"', "", line))
    ]
    assert found == []


# In prose, the words of docs/glossary.md stand for their things. Stored values and names keep theirs.
SHOWN = [
    file
    for file in FILES
    if file.is_relative_to(ROOT / "docs")
    or file.is_relative_to(ROOT / "airflow_provider_alvys")
    or (file.parent == ROOT and file.name not in ("CHANGELOG.md", "Makefile"))
]
OTHER_TERMS = {
    r"(?<![`\"'/=_.])\bwhole\b(?! (UTC )?(days?|numbers?|words)\b|_| =| if whole|`|$)": "complete, in full",
    r"[Pp]age of a record": "Link to Alvys",
    r"\b(this|next|each|every|one) look\b": "poll",
    r"\bthe books\b": "ledger",
    r"\bsync order\b": "sync spec",
    r"\bunknown to the catalogue\b": "unmapped fields",
}


@pytest.mark.parametrize("term", OTHER_TERMS)
def test_no_other_term_is_used_for_a_thing_of_the_glossary(term: str) -> None:
    pattern = re.compile(term)
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in SHOWN
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == [], f"say {OTHER_TERMS[term]}"


def described() -> Iterator[tuple[str, str, str]]:
    """Yield each parameter, option and field that a user can set: its name, its owner and its description."""
    things = [getattr(airflow_provider_alvys, name) for name in airflow_provider_alvys.__all__]
    things += [AlvysBeginFirstLoadOperator, AlvysHandOverOperator]
    things += [method for name, method in inspect.getmembers(AlvysHook, inspect.isfunction)]
    for thing in things:
        if callable(thing):
            for name, text in read_docstring(thing).params.items():
                yield name, thing.__qualname__, text
    for command, parser in commands_of(_parser()):
        for action in options_of(parser):
            name = "alvys_conn_id" if action.dest == "conn_id" else action.dest
            yield name, f"command {command}", action.help or ""
    for field in connection_form.FIELDS:
        yield field.name, "connection form", field.description


def commands_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield name, command
                yield from commands_of(command)


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
    ]


# Parameters that stand for different things: the path of a call and of a data set, for example.
DIFFERENT: dict[str, Any] = {
    "path": "folder|file|root|path",
    "statuses": "(one )?status",
    "by": "length of a window|how far",
    "parents": "parents of (a stream|the documents)",
    "parent_type": "kind of the parents?",
    "task_id": "(name|id) of the task",
    "filters": "Alvys's search fields",
    "wait_if_missing": "whether to wait for a (parent|load|trip)",
    "arguments": "further arguments",
    "deferrable": "whether to (free the slot|wait in the triggerer)",
}


def head(text: str) -> str:
    """Return the beginning of a description, which says what the thing is."""
    return re.split(r"[.,;:(]| such as | that | if | with | and ", text.replace("`", ""))[0].strip().lower()


def test_the_same_parameter_is_described_in_the_same_words() -> None:
    heads: dict[str, dict[str, list[str]]] = {}
    for name, owner, text in described():
        heads.setdefault(name, {}).setdefault(head(text), []).append(owner)
    different = {
        name: found
        for name, found in heads.items()
        if len(found) > 1
        and not all(re.match(DIFFERENT.get(name, "$"), text, re.IGNORECASE) for text in found)
    }
    assert different == {}


def test_each_option_of_a_command_is_described() -> None:
    assert all(text for _, owner, text in described() if owner.startswith("command "))
    assert all(action.help for action in options_of(simulator_parser()))


def test_the_page_of_the_connection_uses_the_labels_of_the_form() -> None:
    text = (ROOT / "docs" / "connection.md").read_text()
    for label in (*connection_form.RELABELING.values(), *(field.label for field in connection_form.FIELDS)):
        assert f"| {label.partition(' (')[0]} |" in text, label
