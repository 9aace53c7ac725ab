"""Text from files shows as it is and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.text import error_text, plain
from whycad.errors import WhyCadError
from whycad.wording import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x onerror=alert(1)>", r"\<img src\=x onerror\=alert\(1\)\>"),
        ("[click](https://evil.example)", r"\[click\]\(https\:\/\/evil\.example\)"),
        ("![x](http://a.b/c)", r"\!\[x\]\(http\:\/\/a\.b\/c\)"),
        (":red[hot] $x^2$", r"\:red\[hot\] \$x\^2\$"),
        ("a|b", r"a\|b"),
        ("two\nlines\tand  more", "two lines and more"),
        ("melanoma, 71 %", r"melanoma\, 71 \%"),
        ("Müller 日本", "Müller 日本"),
    ],
)
def test_markup_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\x00", "\x1b", "\x7f", "\u200b", "\ufeff"])
def test_control_and_direction_characters_are_named(mark: str) -> None:
    assert printable(f"a{mark}b") == f"a\\u{ord(mark):04x}b"


def test_long_text_is_cut() -> None:
    assert len(printable("x" * 10_000, 50)) == 50


@given(st.text(max_size=300))
def test_nothing_is_left_unescaped(text: str) -> None:
    shown = plain(text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>\[\]()|`*_$:&#!]", shown.replace("\\\\", ""))
    assert "\n" not in shown


def test_error_gives_message_and_remedy() -> None:
    assert error_text(WhyCadError("a [b]", remedy="do <c>")) == "**a \\[b\\]**  \ndo \\<c\\>"
    assert error_text(WhyCadError("only this")) == "**only this**"
