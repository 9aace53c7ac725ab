"""``whycad card``: the generated part of a model card."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from whycad.commands._arguments import add_task, say, warn

if TYPE_CHECKING:
    from whycad.plugin import Plugin


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "card",
        help="write or check the header of a model card",
        description="Write the YAML header of a task's model card from plugin.toml and the stored figures "
        "(performance.json and performance-*.json in the plugin folder). The prose stays as it is. With --from, take "
        "figures and findings over from an audit first; the card names the run.",
    )
    add_task(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; fail where the header is stale")
    what.add_argument("--from", dest="audit", type=Path, metavar="AUDIT_DIR", help="an audit of this task's weights")


def run(args: argparse.Namespace) -> int:
    """Write the card; with ``--check``, 1 where writing it would change it."""
    from whycad.errors import ManifestError
    from whycad.files import write_whole
    from whycad.model_card import card_text
    from whycad.registry import discover

    plugin = discover().get(args.task, untrained=True)
    path = plugin.card_path()
    if path is None:
        raise ManifestError(f"task {plugin.id!r} declares no model card", remedy="set model_card in plugin.toml")
    existing = _read(path)
    fresh = card_text(plugin, existing if args.audit is None else _renewed(args.audit, plugin, existing))
    if fresh == existing:
        say(f"{path.name} is up to date")
        return 0
    if args.check:
        warn(f"{path.name} is stale or missing: run `whycad card --task {plugin.id}`")
        return 1
    write_whole(path, fresh)
    say(f"wrote the header of {path.name}")
    return 0


def _renewed(audit: Path, plugin: Plugin, existing: str) -> str:
    """Take over an audit and return the card with a place for it."""
    from whycad.audit.card_renewal import renew_from
    from whycad.card_audits import with_audit_section

    say(f"wrote {renew_from(audit, plugin).name} from {audit.name}")
    return with_audit_section(existing)


def _read(path: Path) -> str:
    from whycad.errors import ManifestError

    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"model card {path.name!r} cannot be read ({type(error).__name__})") from error
