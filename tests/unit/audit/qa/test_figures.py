"""From results to power, false alarms, the page and what a report says of each check."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from whycad.audit.findings import Finding, Severity
from whycad.audit.qa.document import qa_page, unmet
from whycad.audit.qa.figures import QaFigures, figures_of, share_of
from whycad.audit.qa.musts import LEAK_MUSTS, MUSTS, SHORTCUT_CHECKS, names_of, sees
from whycad.audit.qa.one_set import Alarm, SetResult
from whycad.audit.qa.plan import ARTEFACTS, LEAKS
from whycad.audit.qa.trusted import trusted, trusted_from, trusted_from_phi


def result(number=0, *, phi=0.5, uses=True, seen=True, alarms=(), leak="", failed=""):
    return SetResult(
        id=f"set-{number}",
        task="skin",
        artefact="ink",
        phi=phi,
        leak=leak,
        auc_whole=0.8,
        auc_aligned=0.9,
        auc_conflicting=0.6 if uses else 0.79,
        seen={"metadata_label": True, "metadata_prediction": seen} if phi else {},
        alarms=tuple(Alarm(check=check, severity=Severity.WARNING) for check in alarms),
        seconds=20.0,
        failed=failed,
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_exact(counts):
    hits, n = counts
    found = share_of([True] * hits + [False] * (n - hits))
    expected = binomtest(hits, n).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_gives_the_whole_range():
    assert (share_of([]).low, share_of([]).high) == (0.0, 1.0)


def test_only_networks_that_use_the_shortcut_count_for_power():
    figures = figures_of([result(0), result(1, seen=False), result(2, uses=False, seen=False)])
    row = next(row for row in figures.power if row.check == "metadata_prediction" and not row.artefact)
    assert (row.share.hits, row.share.n) == (1, 2)
    assert (figures.together[0].share.hits, figures.any[0].share.hits) == (1, 2)
    assert (figures.used[0].share.hits, figures.used[0].share.n) == (2, 3)


def test_false_alarms_are_counted_per_check_and_together():
    nulls = [result(k, phi=0.0, uses=False, alarms=["subgroup", "slice"][:k]) for k in range(3)]
    figures = figures_of([*nulls, result(9)])
    assert (figures.alarms["subgroup"].hits, figures.alarms["slice"].hits) == (2, 1)
    assert (figures.family.hits, figures.family.n) == (2, 3)


def test_a_warning_is_true_where_the_network_came_by_chance_to_respond_to_what_it_names():
    told = {"ink": -0.05, "ruler": 0.01, "patches": 0.2}
    null = result(phi=0.0, uses=False).model_copy(update={"responses": told, "lifts": told, "gaps": {"hair": 0.1}})

    def is_false(check, column="", effect=0.1, label="disease", of=null):
        alarm = Alarm(check=check, severity=Severity.WARNING, column=column, effect=effect, label=label)
        return of.is_false(alarm)

    assert not is_false("subgroup", "ink and site")
    assert not is_false("subgroup", "hair"), "ranked better with hair"
    assert is_false("feature_probe", "hair")
    assert not is_false("artefact_insertion", "patch")
    assert is_false("subgroup", "ruler")
    assert is_false("subgroup", "site")
    assert not is_false("slice")
    assert is_false("region_only", "border"), "what lies at the border tells nothing of the label"
    assert is_false("artefact_insertion", "patch", -0.1), "the other way"
    assert not is_false("artefact_insertion", "patch", -0.1, "benign")
    assert is_false("artefact_removal", "patch", 0.1)
    assert not is_false("artefact_removal", "patch", -0.1)
    assert is_false("artefact_insertion", "ruler", 0.1)
    assert is_false("metadata_label", "ink")
    assert is_false("near_duplicate", "split")
    calm = null.model_copy(update={"responses": {"ink": 0.0}, "lifts": {"ink": 0.2}, "gaps": {}})
    assert is_false("artefact_insertion", "ink", of=calm)
    assert not is_false("metadata_prediction", "ink", of=calm)
    scanned = calm.model_copy(update={"lifts": {"scanner": -0.1, "ink": -0.1}})
    assert not is_false("metadata_prediction", "scanner", of=scanned), "it may name the other scanner"
    assert is_false("metadata_prediction", "ink", of=scanned)
    assert is_false("slice", of=calm.model_copy(update={"lifts": {}}))


def test_failed_sets_are_named_and_not_counted():
    figures = figures_of([result(0), result(1, failed="no room")])
    assert (figures.n_sets, figures.n_failed) == (2, 1)
    assert figures.failures == ("set-1: no room",)
    assert figures.used[0].share.n == 1
    assert "set-1: no room" in qa_page(figures)


def finding(column="", check="metadata_label", severity=Severity.WARNING):
    return Finding(check=check, severity=severity, message="m", column=column)


@pytest.mark.parametrize(
    ("found", "check", "expected"),
    [
        (finding("ink"), "metadata_label", True),
        (finding("site and ink"), "metadata_label", True),
        (finding("inkjet"), "metadata_label", False),
        (finding("ruler"), "metadata_label", False),
        (finding("ink", severity=Severity.UNKNOWN), "metadata_label", False),
        (finding("ink"), "subgroup", False),
        (finding("border", check="region_only"), "region_only", True),
    ],
)
def test_a_check_sees_an_artefact_by_its_name(found, check, expected):
    assert sees([found], check, "ink") is expected


def test_every_artefact_and_leak_has_a_check_that_must_see_it():
    drawn = {name for names in ARTEFACTS.values() for name in names}
    assert set(MUSTS) == drawn
    assert all(set(checks) <= set(SHORTCUT_CHECKS) for checks in MUSTS.values())
    assert set(LEAK_MUSTS) == set(LEAKS)
    assert all(name in names_of(name) for name in drawn)


def many(n, **how):
    return [result(k, **how) for k in range(n)]


def test_a_check_is_trusted_from_the_strength_on_from_which_it_finds_nearly_all():
    weak = [result(k, phi=0.2, seen=k < 5) for k in range(20)]
    figures = figures_of([*weak, *many(20, phi=0.5), *many(20, phi=0.9), *many(20, phi=0.0, uses=False)])
    assert trusted_from_phi(figures, "metadata_prediction") == 0.5
    assert trusted_from_phi(figures, "metadata_label") == 0.2
    told = trusted_from(figures, ["metadata_prediction", "slice"])
    assert told["metadata_prediction"].startswith(
        "Trusted from phi 0.5 on: in phantom tests it found 100% of 20 simulated"
    )
    assert "It warned in 0% of 20 simulated sets" in told["slice"]


def test_a_check_that_misses_strong_ones_is_not_trusted_whatever_it_does_with_weak_ones():
    figures = figures_of([*many(20, phi=0.5), *many(20, phi=0.9, seen=False)])
    assert trusted_from_phi(figures, "metadata_prediction") is None
    assert trusted_from(figures, ["metadata_prediction"])["metadata_prediction"].startswith("Not trusted alone")


def test_few_sets_earn_no_trust():
    assert trusted_from_phi(figures_of(many(9)), "metadata_label") is None


def test_bars_that_are_not_kept_are_named():
    good = figures_of([*many(20), *many(20, phi=0.0, uses=False)])
    assert unmet(good) == []
    assert "All are kept as counted:" in qa_page(good)
    assert "- `metadata_label` found the shortcut in: 20 of 20 sets (83% to 100%)" in qa_page(good)
    bad = figures_of([*many(20, seen=False), *many(3, phi=0.0, uses=False, alarms=["slice"])])
    assert [line.split()[0] for line in unmet(bad)] == ["metadata_prediction", "some"]
    leaks = figures_of([result(0, phi=0.0, leak="source").model_copy(update={"seen": {"label_by_source": False}})])
    assert any(line.startswith("label_by_source") for line in unmet(leaks))


def bars_of(figures):
    return " ".join(qa_page(figures).partition("## Bars")[2].partition("## Power by check")[0].split())


def test_counts_prove_no_bar_where_the_interval_is_wide():
    few = bars_of(figures_of([*many(20), *many(20, phi=0.0, uses=False)]))
    assert "By the intervals the bars are not proven: none of these has an interval within its bar" in few
    some = bars_of(figures_of([*many(20), *many(100, phi=0.0, uses=False)]))
    assert "not proven: only 1 of these 3" in some
    assert "some check warned, without a fault, in: 0 of 100 sets (0% to 4%)" in some
    assert "the bars are kept." in bars_of(figures_of([*many(100), *many(100, phi=0.0, uses=False)]))


def test_checks_that_are_trusted_alone_are_named_and_those_that_are_not():
    bars = bars_of(figures_of([*many(20, phi=0.5, seen=False), *many(20, phi=0.0, uses=False)]))
    assert "Trusted alone: `metadata_label` -" in bars
    assert "sets): `metadata_prediction` -" in bars
    assert "As counted:" in bars
    assert "`slice`" in bars.partition("With nothing planted")[2]


def test_the_page_has_every_table_and_says_that_all_is_simulated():
    leak = result(5, phi=0.0, leak="source").model_copy(update={"seen": {"label_by_source": True}})
    page = qa_page(figures_of([*many(3), *many(3, phi=0.0, uses=False), leak], command="whycad qa --quick"))
    for words in (
        "**simulated**",
        "## Power by check",
        "## Power by artefact",
        "## False alarms in 3",
        "## Leaks",
        "| ink |",
    ):
        assert words in page
    assert max(len(line) for line in page.splitlines() if not line.startswith(("|", "-"))) <= 120


def test_figures_save_and_load_and_reach_the_report(tmp_path):
    figures = figures_of([*many(12), *many(12, phi=0.0, uses=False)])
    path = tmp_path / "qa.json"
    path.write_text(figures.model_dump_json())
    assert QaFigures.model_validate_json(path.read_text()) == figures
    assert "Trusted from phi 0.5" in trusted(["metadata_label"], path)["metadata_label"]
    assert trusted(["metadata_label"], tmp_path / "none.json") == {}
    path.write_text("{")
    assert trusted(["metadata_label"], path) == {}
