"""What the site has that no file in docs/ holds: every command's options, all of them."""

from __future__ import annotations

import subprocess
import sys

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from evenscale import COMMANDS

PAGE = "options.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of options."""
    parts = [
        "# Every option",
        "Each command is `evenscale NAME` and `python -m` what stands below.",
    ]
    for name, command in COMMANDS.items():
        said = subprocess.run(
            [sys.executable, "-m", *command.module.split(), "--help-all"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        parts.append(f"## {name}\n\n{command.about}.\n\n```text\n{said.rstrip()}\n```")
    files.append(File.generated(config, PAGE, content="\n\n".join(parts)))
    return files
