"""The installation's secret, with which patient ids are hashed."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

from whycad.errors import StoreError
from whycad.imaging.deidentify import KEY_BYTES

KEY_FILE_VARIABLE = "WHYCAD_KEY_FILE"


def state_folder() -> Path:
    """Return the folder where this user's WhyCAD keeps what must last."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "whycad"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "whycad"
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state") / "whycad"


def key_file() -> Path:
    """Return the path of the key file: ``WHYCAD_KEY_FILE``, or in the state folder."""
    named = os.environ.get(KEY_FILE_VARIABLE)
    return Path(named) if named else state_folder() / "subject.key"


def load_key() -> bytes:
    """Read the secret, or make it on first use, readable by this user only.

    Raises
    ------
    StoreError
        If it cannot be read or written, or is too short to be a secret.
    """
    path = key_file()
    try:
        key = path.read_bytes() if path.exists() else _make(path)
    except OSError:
        raise StoreError(
            "The key that protects patient ids cannot be read or written",
            remedy=f"set {KEY_FILE_VARIABLE} to a file in a folder that this user can write to",
        ) from None
    if len(key) < KEY_BYTES:
        raise StoreError(
            f"The key that protects patient ids is shorter than {KEY_BYTES} bytes",
            remedy="remove the file, and a new one is made; patients will then be grouped anew",
        )
    return key


def _make(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        # A link never replaces: of two processes at once, the first one's key stays.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_bytes()
