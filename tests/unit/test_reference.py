"""Reference distributions: percentiles of planted values, small classes, files, other weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whycad.errors import ManifestError
from whycad.reference import (
    LEAST_CASES,
    Distribution,
    Reference,
    ReferenceSource,
    distribution_of,
    range_label,
    read_reference,
    reference_of,
    reference_text,
    with_places,
)
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.types import Concept, Evidence, Measurement

MORE = '[reference]\nfile = "reference.json"\n'


def even(n=1000, low=0.0, high=1.0):
    return distribution_of(np.linspace(low, high, n))


def reference(plugin, **labels):
    source = ReferenceSource(dataset="made", selection="all", n=9, weights_sha256=plugin.weights_sha256)
    ratings = {code: distribution_of(1 + 3 * np.asarray(found.quantiles)) for code, found in labels.items()}
    return Reference(
        source=source,
        measurements={"size": Distribution(name="Size", unit="mm", labels=labels)},
        concepts={"margin": Distribution(name="margin", labels=ratings)},
        readers={"margin": {"a": (1.5, 3.0)}},
    )


@pytest.fixture
def plugin(tmp_path):
    return write_plugin(tmp_path, TinyPlugin(more=MORE))


def placed(plugin, found, **fields):
    evidence = Evidence(
        (Measurement("Size", 0.25, "mm", key="size", **fields),),
        (Concept("margin", "?", ("x", "y", "z", "w"), (0.0, 0.0, 0.0, 1.0)),),
    )
    return with_places(evidence, found, plugin.manifest)


def test_a_value_has_its_percentile_in_every_label(plugin):
    found = placed(plugin, reference(plugin, a=even(), b=even(high=0.5)))
    assert found.measurements[0].percentiles == pytest.approx({"a": 25, "b": 50})
    assert found.concepts[0].percentiles["a"] == pytest.approx(100, abs=1)
    assert found.concepts[0].readers == {"a": (1.5, 3.0)}


def test_the_range_is_the_central_90_percent_of_the_least_severe_label(plugin):
    low, high = placed(plugin, reference(plugin, a=even(), b=even(high=9))).measurements[0].reference_range
    assert (low, high) == pytest.approx((0.05, 0.95))
    assert range_label(plugin.manifest) == "a"


def test_a_scale_brings_the_value_to_the_unit_of_the_reference(plugin):
    found = placed(plugin, reference(plugin, a=even()), scale=0.5).measurements[0]
    assert found.percentiles["a"] == pytest.approx(50)
    assert found.reference_range == pytest.approx((0.025, 0.475))


def test_a_label_with_few_cases_is_not_established(plugin):
    few = distribution_of(np.linspace(0, 1, LEAST_CASES - 1))
    assert few.n == LEAST_CASES - 1
    assert few.quantiles == ()
    found = placed(plugin, reference(plugin, a=few, b=even()))
    assert set(found.measurements[0].percentiles) == {"b"}
    assert found.measurements[0].reference_range is None


def test_without_a_reference_nothing_changes(plugin):
    assert placed(plugin, None).measurements[0].percentiles == {}


def test_a_file_is_read_back_and_belongs_to_its_weights(plugin):
    whole = reference(plugin, a=even(), b=even())
    path = plugin.reference_path()
    assert reference_of(plugin) is None
    path.write_text(whole.model_dump_json())
    assert reference_of(plugin) == whole == read_reference(path)
    other = whole.model_copy(update={"source": whole.source.model_copy(update={"weights_sha256": "1" * 64})})
    path.write_text(other.model_dump_json(indent=1))
    assert reference_of(plugin) is None


def test_quantiles_are_written_on_one_line_and_read_back(plugin):
    whole = reference(plugin, a=even(low=-1e-7), b=distribution_of(np.arange(3.0)))
    text = reference_text(whole)
    plugin.reference_path().write_text(text)
    assert read_reference(plugin.reference_path()) == whole
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 2}'])
def test_a_broken_file_is_a_plain_error(plugin, text):
    plugin.reference_path().write_text(text)
    with pytest.raises(ManifestError, match="cannot be read"):
        reference_of(plugin)


def test_equal_values_count_neither_as_smaller_nor_as_larger():
    found = distribution_of(np.r_[np.zeros(80), np.linspace(1, 2, 20)])
    assert found.smaller(0) == 0
    assert found.larger(0) == pytest.approx(0.2, abs=0.02)
    assert found.smaller(0.5) == pytest.approx(0.8, abs=0.02)


@given(st.lists(st.floats(-1e3, 1e3), min_size=LEAST_CASES, max_size=200), st.floats(-2e3, 2e3))
def test_shares_follow_the_cases(values, value):
    cases = np.array(values)
    found = distribution_of(cases)
    smaller, larger = found.smaller(value), found.larger(value)
    assert 0 <= smaller <= 1
    assert smaller + larger <= 1 + 1e-9
    slack = 1 / len(cases) + 0.02
    near = 1e-3
    assert np.mean(cases < value - near) - slack <= smaller <= np.mean(cases < value + near) + slack
