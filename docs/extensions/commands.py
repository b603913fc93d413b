"""Reference of the command line: a block ```` ```{commands} ```` becomes all commands.

What is said of a command and of its options is what `irtkit COMMAND --help` says.
"""

import re

import click
from sphinx.application import Sphinx

BLOCK = re.compile(r"^```\{commands\}\n```$", re.MULTILINE)


def described(name: str, command: click.Command) -> str:
    """Describe one command with its arguments and options, as Markdown."""
    context = click.Context(command, info_name=name)
    words = " ".join(command.collect_usage_pieces(context))
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    rows = "".join(f"| `{cell(flags)}` | {cell(told)} |\n" for flags, told in records)
    return (
        f"## {name}\n\n```text\n{name} {words}\n```\n\n{paragraphs(command.help or '')}\n\n"
        f"| option | meaning |\n| --- | --- |\n{rows}\n"
    )


def cell(words: str) -> str:
    """Keep a sentence from leaving its cell."""
    return words.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("*", "\\*")


def paragraphs(told: str) -> str:
    """Help text as Markdown: what click must not wrap is kept as it stands."""
    parts = re.split(r"\n{2,}", told.replace("\f", "").strip())
    return "\n\n".join(
        "```text\n" + part.removeprefix("\b\n") + "\n```" if part.startswith("\b") else part
        for part in parts
    )


def tree(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """List a command and those below it."""
    below = getattr(command, "commands", {})
    return [(name, command)] + [
        found for word in sorted(below) for found in tree(f"{name} {word}", below[word])
    ]


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the block of one page."""
    if BLOCK.search(source[0]):
        from irtkit.cli import cli

        text = "".join(described(*found) for found in tree("irtkit", cli))
        source[0] = BLOCK.sub(lambda match: text, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask to see each page before it is parsed."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
