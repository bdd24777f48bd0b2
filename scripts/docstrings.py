"""Docstrings as data: the parts of a public docstring, for the generated pages of docs/reference."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

_FIELD = re.compile(r"^:(param (?P<name>\w+)|return|raises (?P<error>\w+)): ", re.MULTILINE)
# Paragraphs that begin with one of these words are sections of the reference.
NOTES = ("Asset event", "Cost")
_TEMPLATED = re.compile(r" \(templated\)$")


@dataclass
class Docstring:
    """
    The parts of a docstring, as Markdown.

    :param templated: the parameters that are marked with ``(templated)``.
    :param notes: the texts of the paragraphs ``Asset event: …`` and ``Cost: …``.
    :param raises: error type and text; a type may occur twice.
    """

    summary: str
    prose: list[str]
    notes: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    templated: set[str] = field(default_factory=set)
    returns: str = ""
    raises: list[tuple[str, str]] = field(default_factory=list)


def read_docstring(thing: Any) -> Docstring:
    """Return the docstring of a class or function."""
    text = inspect.cleandoc(thing.__doc__ or "")
    fields = list(_FIELD.finditer(text))
    head = text[: fields[0].start()] if fields else text
    paragraphs = [_markdown(paragraph) for paragraph in re.split(r"\n{2,}", head.strip())]
    found = Docstring(paragraphs[0], [])
    for paragraph in paragraphs[1:]:
        name, colon, rest = paragraph.partition(": ")
        if colon and name in NOTES:
            found.notes[name] = rest
        else:
            found.prose.append(paragraph)
    for at, match in enumerate(fields):
        end = fields[at + 1].start() if at + 1 < len(fields) else len(text)
        content = _markdown(text[match.end() : end])
        if name := match["name"]:
            found.params[name] = _TEMPLATED.sub("", content)
            if found.params[name] != content:
                found.templated.add(name)
        elif match["error"]:
            found.raises.append((match["error"], content))
        else:
            found.returns = content
    return found


def _markdown(text: str) -> str:
    """Return reStructuredText of one paragraph as a line of Markdown."""
    text = " ".join(text.split())
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    text = text.replace("``", "`")
    # A page of the documentation, seen from docs/reference.
    text = re.sub(r"`docs/reference/([\w-]+\.md)`", r"[\1](\1)", text)
    return re.sub(r"`docs/([\w-]+\.md)`", r"[\1](../\1)", text)
