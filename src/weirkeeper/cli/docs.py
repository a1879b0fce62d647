"""`weir docs`: writes the generated pages, or says which of them are not as they should be.

Comes in: the folder of the documentation. Goes out: files. Exit code 1 with `--check` where one differs.
"""

from pathlib import Path
from typing import Annotated

import typer

from weirkeeper.app import PROVIDERS, known_plugins, plugin
from weirkeeper.cli.offline import NOTHING_SAID, SAID_ERRORS, refused
from weirkeeper.cli.pages import pages

SHIPPED = ("envoy", "haproxy", "nginx", "memory")
"""The providers of the matrix: those of this distribution, whatever else is installed."""

Folder = Annotated[Path, typer.Option("--directory", "-d", help="The folder to write to.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 where a page is not up to date.")]


def docs(directory: Folder = Path("docs"), check: Check = False) -> None:
    """Write the generated pages of the documentation: features, findings and annotations."""
    if not directory.is_dir():
        refused("docs", f"{directory}: there is no such folder")
    old = []
    for name, text in generated().items():
        path = directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            old.append(path)
            if not check:
                path.write_text(text, "utf-8")
    for path in old:
        typer.echo(f"{path} {'is not up to date' if check else 'written'}")
    raise typer.Exit(SAID_ERRORS if old and check else NOTHING_SAID)


def generated() -> dict[str, str]:
    """The pages by name."""
    known = known_plugins(PROVIDERS)
    return dict(pages([plugin(PROVIDERS, name) for name in SHIPPED if name in known]))
