"""The command line: ``whycad COMMAND ...``. Exit status 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from whycad import __version__, commands
from whycad.errors import WhyCadError

DONE, FAILED, USAGE = 0, 1, 2
EPILOG = "Research and education only; not for clinical use. `whycad COMMAND --help` says more."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 done, 1 failed (the reason is on stderr), 2 wrong usage.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(argv).parse_args(argv)
    except SystemExit as stop:  # argparse leaves this way after --help and after an error
        return int(stop.code or DONE)
    try:
        return int(args.module.run(args))
    except WhyCadError as error:
        sys.stderr.write(f"whycad {args.command}: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write(f"whycad {args.command}: interrupted\n")
    except BrokenPipeError:
        # Whoever read the output has gone; what is left in the buffer goes nowhere, without a complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def command_names() -> tuple[str, ...]:
    """Return the commands that exist, as they are typed."""
    modules = pkgutil.iter_modules(commands.__path__)
    return tuple(sorted(module.name.replace("_", "-") for module in modules if not module.name.startswith("_")))


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser with the one command that is asked for, or with the names of all of them."""
    parser = argparse.ArgumentParser(prog="whycad", description="Explainable computer-aided diagnosis.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"whycad {__version__}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    names = command_names()
    if argv[:1] and argv[0] in names:
        module = _command(argv[0])
        module.add_parser(subparsers)
        subparsers.choices[argv[0]].set_defaults(module=module)
    else:
        for name in names:
            subparsers.add_parser(name, help=_summary(name))
    return parser


def _summary(name: str) -> str:
    """Return what a command is for: its module's first line, read without importing it."""
    spec = importlib.util.find_spec(_module_name(name))
    assert spec is not None
    assert spec.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(": ")[2].rstrip(".")


def _command(name: str) -> ModuleType:
    return importlib.import_module(_module_name(name))


def _module_name(name: str) -> str:
    return f"{commands.__name__}.{name.replace('-', '_')}"


if __name__ == "__main__":
    sys.exit(main())
