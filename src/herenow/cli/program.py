"""The program around the commands: finds them, and turns every error into one line and one exit code.

Owns the exit codes and the form of errors. Imports click and nothing slower.
"""

import difflib
import logging
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

from herenow.cli import COMMANDS
from herenow.cli.output import say
from herenow.errors import StoreError

YES: Final = 0
"""Success, and something was found."""
NO: Final = 1
"""Nothing was found: an answer, no error."""
USAGE: Final = 2
"""A usage error: an unknown option, a bad value, a missing file or package."""
STORE: Final = 3
"""The store is unavailable or too slow, or refused."""
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141


class Program(click.Group):
    """A group that imports a command when it is called, and none for the list of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name all commands, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        try:
            command: click.Command = getattr(import_module(f"herenow.cli.{cmd_name}"), cmd_name)
        except ModuleNotFoundError as error:
            raise _lacking(cmd_name, error) from None
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a mistyped one, suggest the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"no command {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a pipe closed by its reader ends it quietly."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise _lacking(ctx.invoked_subcommand, error) from None
        except BrokenPipeError:
            _silence()
            raise click.exceptions.Exit(PIPE_CLOSED) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by section, without importing any."""
        parts: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, COMMANDS))
        for name, entry in COMMANDS.items():
            parts.setdefault(entry.part, []).append((name.ljust(width), entry.summary))
        for part, rows in parts.items():
            with formatter.section(part):
                formatter.write_dl(rows)


@click.command(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 yes, 1 no or none, 2 usage error, 3 store error.",
)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def herenow(ctx: click.Context, *, version: bool) -> None:
    """Show who is online right now, on Redis or Valkey.

    --url or HERENOW_URL names the store, such as redis://localhost:6379/0. The default is the
    embedded store of this directory; in a Flask project that has one, the store in instance/herenow.

    `herenow COMMAND --help` describes a command.
    """
    if version:
        import herenow as package

        click.echo(f"herenow {package.__version__}")
        ctx.exit(YES)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)


def run(args: list[str] | None = None) -> int:
    """Run the program to its exit code."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # names that the locale can't encode are escaped
            reconfigure(errors="backslashreplace")
    logging.getLogger("herenow").addHandler(logging.NullHandler())  # errors are printed once, below
    try:
        code = herenow.main(args=args, prog_name="herenow", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return PIPE_CLOSED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (click.ClickException, ValueError, StoreError, OSError) as error:
        say(" ".join(_message(error).split()))
        return STORE if isinstance(error, StoreError) else USAGE
    return code if isinstance(code, int) else YES


def _message(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "herenow"
        return f"{error.format_message()} (see {path} --help)"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _silence() -> None:
    # nobody reads: buffered output must not fail again at exit
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lacking(command: str | None, error: ModuleNotFoundError) -> Exception:
    if command not in COMMANDS or str(error.name).partition(".")[0] == "herenow":
        return error
    extra = COMMANDS[command].extra
    return click.ClickException(f'{command} needs {error.name}: pip install "herenow[{extra}]"')
