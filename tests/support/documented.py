"""Commands and responses as pages of the documentation show them."""

import re
from pathlib import Path

BLOCK = re.compile(r"^```(sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown_commands(page: Path) -> tuple[str, str]:
    """The commands of a page that are to be run, and the output that is shown after them."""
    blocks = BLOCK.findall(page.read_text())
    commands = "".join(text for language, text in blocks if language)
    outputs = [blocks[index + 1][1] for index, (language, _) in enumerate(blocks) if language]
    return commands, "".join(outputs)
