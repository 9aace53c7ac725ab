"""Subcommands of ``whycad``: one module each, with ``add_parser(subparsers)`` and ``run(args) -> int``.

A module ``check_plugin`` becomes ``whycad check-plugin``. Modules import what is heavy inside
``run``: all of them are imported for ``whycad --help``.
"""
