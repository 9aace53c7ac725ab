"""The words of an audit say what the numbers say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whycad.audit.checks import ALL_CHECKS
from whycad.audit.findings import Cell, Finding, Severity
from whycad.audit.words import (
    AREAS,
    VERDICT_MEANINGS,
    VERDICT_ORDER,
    VERDICT_SIGNS,
    VERDICT_TITLES,
    VERDICTS,
    area,
    audit_title,
    banners,
    cell_words,
    effect_words,
    in_verdict_order,
    number_words,
    scope_words,
    verdict_counts,
    within_sentence,
)
from whycad.testing.sample_audit import sample_audit


def finding(effect: float | None = None, **facts: object) -> Finding:
    body = {"check": "c", "severity": "ok", "message": "m", "effect": effect, **facts}
    return Finding.model_validate(body)


def test_every_severity_and_every_check_has_its_words() -> None:
    assert set(VERDICT_ORDER) == set(Severity)
    for words in (VERDICTS, VERDICT_TITLES, VERDICT_MEANINGS, VERDICT_SIGNS):
        assert set(words) == set(Severity)
        assert len(set(words.values())) == 4
    assert set(AREAS) == set(ALL_CHECKS)
    assert area("a_check_of_tomorrow") == "A check of tomorrow"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (finding(-0.19, ci_low=-0.24, ci_high=-0.14, effect_name="change in probability"), "−0.19 (−0.24 to −0.14)"),
        (finding(0.09, ci_low=0.05, ci_high=0.13, effect_name="difference in accuracy"), "+0.09 (0.05 to 0.13)"),
        (finding(0.23, effect_name="share missing"), "0.23"),
        (finding(16.2, ci_low=5.3, ci_high=51.0, effect_name="odds ratio", no_effect=1), "16.2 (5.30 to 51.0)"),
        (finding(0.5, ci_low=0.4, effect_name="AUROC"), "0.50"),
        (finding(), ""),
    ],
)
def test_an_effect_is_told_with_its_interval(one: Finding, words: str) -> None:
    assert effect_words(one) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0.00"), (-0.0, "0.00"), (0.004, "0.004"), (0.0001, "1.0e-04"), (-123456, "−123,456"), (3e7, "3.0e+07")],
)
def test_numbers_have_as_many_digits_as_they_need(value: float, words: str) -> None:
    assert number_words(value) == words


@settings(max_examples=60, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 6))
def test_numbers_keep_their_sign_and_stay_short(value: float, decimals: int | None) -> None:
    words = number_words(value, decimals)
    assert len(words) < 32
    assert "-" not in words.replace("e-", "")
    assert not (words.startswith("−") and value >= 0)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (None, "–"),
        (True, "yes"),
        (1200, "1,200"),
        (-0.0004, "0.000"),
        (0.0001, "< 0.001"),
        (0.0, "0.000"),
        (0.5, "0.500"),
        ("a\nb\u202e", r"a b\u202e"),
    ],
)
def test_cells_are_for_people(cell: Cell, words: str) -> None:
    assert cell_words(cell) == words


def test_findings_are_counted_and_ordered_by_urgency() -> None:
    findings = [finding(severity=s) for s in ("ok", "unknown", "critical", "ok", "warning")]
    assert [f.severity.value for f in in_verdict_order(findings)] == ["critical", "warning", "ok", "ok", "unknown"]
    assert list(verdict_counts(findings).values()) == [1, 1, 2, 1]


def test_titles_and_banners_say_what_was_audited() -> None:
    model, data = sample_audit(), sample_audit("data")
    assert audit_title(model) == "Skin lesion (simulated) 1.0 on Simulated lesions, val split"
    assert audit_title(data) == "Simulated lesions"
    assert len(banners(model)) == 3
    assert len(banners(data)) == 2
    unknown = data.model_copy(update={"data": data.data.model_copy(update={"groups_known": False})})
    assert "groups unknown" in scope_words(unknown)
    assert "bootstrap by image" in scope_words(unknown)


@pytest.mark.parametrize(
    ("name", "said"),
    [("Melanoma", "melanoma"), ("Probably benign", "probably benign"), ("CNV", "CNV"), ("F2", "F2"), ("", "")],
)
def test_names_start_small_within_a_sentence_but_abbreviations_stay(name: str, said: str) -> None:
    assert within_sentence(name) == said
