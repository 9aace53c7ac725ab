"""Subcommands of ``whycad``: one module each, with ``add_parser(subparsers)`` and ``run(args) -> int``.

A module ``check_plugin`` becomes ``whycad check-plugin``. Its docstring starts with the command's
name, a colon and what it is for, which ``whycad --help`` prints without importing it.
"""
