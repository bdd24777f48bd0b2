"""The words of the project: plain English and the terms of docs/glossary.md."""

from __future__ import annotations

import re
from pathlib import Path

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
