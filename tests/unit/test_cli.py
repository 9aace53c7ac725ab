"""The command line: what it lists, what it costs to start, and how it ends."""

import re
import subprocess
import sys

import pytest

from whycad import cli
from whycad.errors import DatasetError

OURS = {"analyse", "card", "evaluate", "predict", "train"}


def in_a_process(*arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "whycad", *arguments])]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_help_lists_every_command(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert set(cli.command_names()) >= OURS
    for name in cli.command_names():
        assert re.search(rf"^    {name}\s+\w", text, re.MULTILINE), f"{name} does not say what it is for"


@pytest.mark.parametrize("name", cli.command_names())
def test_every_command_explains_itself(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert f"usage: whycad {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    heavy = ("torch", "streamlit", "pandas", "sklearn", "scipy", "huggingface_hub", "pydicom", "numpy")
    code = f"import sys\nfrom whycad.cli import main\nmain(['--help'])\nprint([m for m in {heavy} if m in sys.modules])"
    done = in_a_process(code=code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["predict"],
        ["predict", "--task", "t", "--dataset", "d", "--out", "o", "--batch", "0"],
        ["predict", "--task", "t", "--dataset", "d", "--out", "o", "--batch", "many"],
        ["predict", "--task", "t", "--dataset", "d", "--out", "o", "--coverage", "1.5"],
        ["analyse", "--task", "t"],
        ["--nonsense"],
    ],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    assert cli.main(arguments) == 2
    assert "usage: whycad" in capsys.readouterr().err


def test_a_failure_is_status_1_and_one_line(capsys):
    assert cli.main(["predict", "--task", "no_such_task", "--dataset", "d", "--out", "o"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("whycad predict: there is no task 'no_such_task' (known tasks: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    ("raised", "text"), [(DatasetError("bad", remedy="mend it"), "bad (mend it)"), (KeyboardInterrupt(), "interrupted")]
)
def test_errors_and_interrupts_end_without_a_traceback(monkeypatch, capsys, raised, text):
    def run(args):
        raise raised

    monkeypatch.setattr("whycad.commands.card.run", run)
    assert cli.main(["card", "--task", "t"]) == 1
    assert capsys.readouterr().err == f"whycad card: {text}\n"


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr("whycad.commands.card.run", lambda args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["card", "--task", "t"])


def test_a_reader_that_has_gone_gives_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -c 'from whycad.commands import card; import sys; from whycad import cli\n"
        'card.run = lambda args: [print("x" * 10000) for _ in range(100)] and 0\n'
        'sys.exit(cli.main(["card", "--task", "t"]))\' | head -c 10',
        shell=True,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "x" * 10
    assert done.stderr == ""


def test_python_dash_m_passes_the_status_on():
    assert in_a_process("predict").returncode == 2
    assert in_a_process("--version").stdout.startswith("whycad ")
