"""Where a reader is in the audits; no Streamlit here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Selection:
    """The cases behind something that was clicked.

    Attributes
    ----------
    title : str
        What was clicked, for the reader.
    cases : tuple of str
        Ids of cases, the clearest first.
    n : int
        How many there are in all; ``cases`` may be the first of them.
    source : str
        Key of the finding, chart or table; empty where nothing was clicked.
    """

    title: str = ""
    cases: tuple[str, ...] = ()
    n: int = 0
    source: str = ""


@dataclass
class AuditPlace:
    """Where a reader is: which run, which check, which cases.

    Attributes
    ----------
    run, other : str
        Names of the run on show and of one that it is compared with; empty for none.
    check : str
        Id of the check on show; empty for the verdict.
    selection : Selection
    page : int
        Of the cases, from 1.
    pictures : dict of (str, str) to bytes
        Small pictures of cases that were shown, by run and case id.
    message : str
        What could not be done, fit for Markdown.
    new : bool
        Whether the form for a new run is open.
    all_lines : bool
        Whether the verdict shows every line.
    """

    run: str = ""
    other: str = ""
    check: str = ""
    selection: Selection = field(default_factory=Selection)
    page: int = 1
    pictures: dict[tuple[str, str], bytes] = field(default_factory=dict)
    message: str = ""
    new: bool = False
    all_lines: bool = False

    def go(self, check: str) -> None:
        """Go to a check's page, or to the verdict."""
        self.check, self.selection, self.page = check, Selection(), 1

    def show(self, run: str) -> None:
        """Show another run from its verdict on."""
        self.run, self.other, self.message, self.new, self.all_lines = run, "", "", False, False
        self.go("")

    def select(self, selection: Selection) -> None:
        """Show the cases behind something."""
        self.selection, self.page = selection, 1
