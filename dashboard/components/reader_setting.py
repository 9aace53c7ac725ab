"""The reader's own setting: level of the set and prevalence. Both redraw the stored result."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard import state
from dashboard.facts import TaskFacts
from dashboard.setting import Prior, Shown, is_calibration_prior
from dashboard.state import COVERAGE_KEY, COVERAGES
from dashboard.text import plain
from whycad import wording
from whycad.manifest import Manifest
from whycad.types import TaskKind
from whycad.uncertainty.calibration import Calibration
from whycad.uncertainty.words import SETS_STAY

# Shares that a reader may have, in percent; fine where disease is rare.
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0)


def reader_setting(shown: Shown, facts: TaskFacts) -> None:
    """Show both controls and what they make of the answer."""
    with st.container(border=True, key="reader-setting", gap="xsmall"):
        st.markdown("**Your setting**")
        st.segmented_control(
            "Level of the set",
            COVERAGES,
            key=COVERAGE_KEY,
            default=state.session().coverage,
            required=True,
            on_change=state.take_coverage,
            format_func=lambda level: f"{100 * level:.0f} %",
            help="How often the set holds the true label, class by class. Redrawn from the stored result.",
        )
        calibration = facts.calibration
        if calibration is None:
            st.caption("The prevalence cannot be changed: the task's calibration data is not known.")
            return
        if facts.manifest.kind is TaskKind.BINARY:
            _one_share(facts.manifest, calibration)
        else:
            _every_share(facts.manifest, calibration)
        _effect(shown, facts, calibration)


def _key(manifest: Manifest, code: str) -> str:
    return f"prior-{manifest.id}-{code}"


def _reset(manifest: Manifest) -> None:
    state.session().priors.pop(manifest.id, None)
    for label in manifest.labels:
        state.forget_widget(_key(manifest, label.code))


def _current(manifest: Manifest, calibration: Calibration) -> Prior:
    return state.session().priors.get(manifest.id, calibration.prior)


def positive_label(manifest: Manifest) -> str:
    """Return the label of a binary task that one asks the prevalence of."""
    marked = [label.code for label in manifest.labels if label.must_not_miss]
    return marked[0] if marked else manifest.label_codes[-1]


def _one_share(manifest: Manifest, calibration: Calibration) -> None:
    """Offer one slider over the share of the label that matters."""
    code = positive_label(manifest)
    column = manifest.label_codes.index(code)
    shares = np.asarray(_current(manifest, calibration)) / np.sum(_current(manifest, calibration))
    stored = _percent(float(calibration.prior[column] / sum(calibration.prior)))
    here = _percent(float(shares[column]))
    name = manifest.label(code).name

    def take() -> None:
        share = state.number_in(_key(manifest, code)) / 100
        prior = [1 - share] * len(manifest.labels)
        prior[column] = share
        _keep(manifest, calibration, tuple(prior), exact=state.number_in(_key(manifest, code)) == stored)

    st.select_slider(
        f"How common is “{plain(name)}” among your patients? In the calibration data {stored:g} %.",
        sorted({*STEPS, stored, here}),
        value=here,
        key=_key(manifest, code),
        format_func=lambda value: f"{value:g} %",
        on_change=take,
    )


def _every_share(manifest: Manifest, calibration: Calibration) -> None:
    """Offer one slider per label; they are scaled to add up to 100 %."""
    current = np.asarray(_current(manifest, calibration))
    stored = np.asarray(calibration.prior) / np.sum(calibration.prior)

    def take() -> None:
        values = [state.number_in(_key(manifest, code)) for code in manifest.label_codes]
        same = values == [_percent(float(v)) for v in stored]
        _keep(manifest, calibration, tuple(values), exact=same or sum(values) == 0)

    with st.expander("How common is each among your patients?", key=f"priors-{manifest.id}"):
        columns = st.columns(2, gap="medium")
        for number, label in enumerate(manifest.labels):
            st_label = f"{plain(label.name)} (calibration data {_percent(float(stored[number])):g} %)"
            with columns[number % 2]:
                st.slider(
                    st_label,
                    0.0,
                    100.0,
                    value=_percent(float(current[number] / current.sum())),
                    step=0.1,
                    key=_key(manifest, label.code),
                    format="%g %%",
                    on_change=take,
                )
        st.caption("The shares are scaled so that together they make 100 %.")


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _keep(manifest: Manifest, calibration: Calibration, prior: Prior, *, exact: bool) -> None:
    """Keep the reader's prevalence for this task; that of the calibration data is none."""
    if exact or is_calibration_prior(prior, calibration):
        state.session().priors.pop(manifest.id, None)
    else:
        state.session().priors[manifest.id] = prior


def _effect(shown: Shown, facts: TaskFacts, calibration: Calibration) -> None:
    manifest, stored = facts.manifest, shown.result.prediction
    code = positive_label(manifest) if manifest.kind is TaskKind.BINARY else shown.prediction.predicted
    now, before = wording.percent(shown.prediction.probability(code)), wording.percent(stored.probability(code))
    with st.container(horizontal=True, vertical_alignment="center", key="prevalence-effect"):
        headline = wording.decision_headline(shown.prediction.decision.kind)
        st.markdown(
            f"{plain(manifest.label(code).name)}: **{plain(now)}**"
            + (f" (at the calibration data's prevalence {plain(before)})" if shown.prior is not None else "")
            + f" · **{headline}**"
        )
        st.button(
            "Back to the calibration data",
            key="prior-reset",
            on_click=_reset,
            args=(manifest,),
            disabled=shown.prior is None,
        )
    st.caption(plain(SETS_STAY, 400))
