"""The page: its sections, whose code blocks are run and whose outputs are filled in."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_OUTPUT = "text"
_WIDTH = 96


@dataclass
class Section:
    """
    A section of the page, whose blocks are taken one after the other.

    :param text: from its heading to the next.
    """

    text: str
    _taken: int = 0
    _outputs: dict[int, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The heading."""
        return self.text.partition("\n")[0].removeprefix("## ")

    def take(self) -> tuple[str, str]:
        """Return the language and the text of the next block, which is run."""
        found = self._blocks()[self._taken]
        if found["language"] == _OUTPUT:
            raise ValueError(f"{self.title}: a block of code is missing before {found[0]}")
        self._taken += 1
        return found["language"], textwrap.dedent(found["text"])

    def shows_output(self) -> bool:
        """Return whether the next block is an output."""
        return self._taken < len(blocks := self._blocks()) and blocks[self._taken]["language"] == _OUTPUT

    def show(self, output: str) -> None:
        """Put an output into the next block."""
        if not self.shows_output():
            raise ValueError(f"{self.title}: a block for this output is missing: {output}")
        self._outputs[self._taken] = output
        self._taken += 1

    def played(self) -> str:
        """Return the section with the outputs of all blocks."""
        blocks = self._blocks()
        if self._taken < len(blocks):
            raise ValueError(f"{self.title}: nothing plays {blocks[self._taken][0]}")
        numbers = iter(range(len(blocks)))

        def fill(found: re.Match[str]) -> str:
            output = self._outputs.get(next(numbers))
            if output is None:
                return found[0]
            return textwrap.indent(f"```{_OUTPUT}\n{wrap(output)}\n```", found["indent"])

        return _BLOCK.sub(fill, self.text)

    def _blocks(self) -> list[re.Match[str]]:
        return list(_BLOCK.finditer(self.text))


def wrap(output: str) -> str:
    """Break lines of words; those of tables stay."""
    wrapper = textwrap.TextWrapper(_WIDTH, break_long_words=False, break_on_hyphens=False)
    lines = [
        line if re.search(r"\S  +\S|\|", line) else wrapper.fill(line)
        for line in output.rstrip().splitlines()
    ]
    return "\n".join(line.rstrip() for line in lines)


def split_page(page: str) -> list[Section]:
    """Return the head of a page and its sections."""
    return [Section(text) for text in re.split(r"^(?=## )", page, flags=re.MULTILINE)]
