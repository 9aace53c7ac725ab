"""A study is surveyed once for gate and preprocessing, and the survey goes no further."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from whycad.admission import admit
from whycad.batch import predict_batch
from whycad.errors import PluginError
from whycad.inference import load_members
from whycad.pipeline import analyse
from whycad.plugin import Plugin
from whycad.testing.plugins import make_study, write_plugin
from whycad.testing.surveyed import SURVEY, SURVEYED
from whycad.types import AnalysisRequest

REASON = "There is no contrast."


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return write_plugin(tmp_path, SURVEYED)


@pytest.fixture
def surveys(monkeypatch) -> list[weakref.ref]:
    """Every survey that is made, held weakly."""
    made, plain = [], Plugin.survey

    def counted(self, study, region=None):
        survey = plain(self, study, region)
        made.append(weakref.ref(survey))
        return survey

    monkeypatch.setattr(Plugin, "survey", counted)
    return made


def grey(contrast=1.0, n_slices=0):
    pixels = make_study().pixels[..., 0]
    pixels = (0.5 + contrast * (pixels - pixels.mean())).clip(0, 1).astype(np.float32)
    pixels = np.stack([pixels] * n_slices) if n_slices else pixels
    return replace(make_study(), pixels=pixels, unit="normalised", simulated=False)


def test_an_image_is_surveyed_once_and_read_as_without_sharing(plugin, surveys):
    admission = admit(plugin, grey(), None)
    assert admission.refused == ()
    assert len(surveys) == 1
    assert admission.inputs is not None
    assert np.array_equal(admission.inputs.array, plugin.preprocess(grey()).array)


def test_what_is_refused_is_preprocessed_only_for_demonstration(plugin):
    assert admit(plugin, grey(0.01), None).inputs is None
    shown = admit(plugin, grey(0.01), None, anyway=True)
    assert shown.refused == (REASON,)
    assert shown.inputs is not None


def test_images_and_slices_are_surveyed_once_each(plugin, surveys):
    ensemble = load_members(plugin, torch.device("cpu"))
    analyse(grey(), plugin, AnalysisRequest(), ensemble=ensemble)
    assert len(surveys) == 1
    predict_batch([grey(), grey(0.01)], plugin, ensemble)
    assert len(surveys) == 3
    analyse(grey(n_slices=5), plugin, AnalysisRequest(), ensemble=ensemble)
    # The slice that is shown is prepared again: only numbers are kept of the others.
    assert len(surveys) == 3 + 5 + 1


def test_no_survey_outlives_the_reading(plugin, surveys):
    admit(plugin, grey(), None)
    gc.collect()
    assert surveys[0]() is None


def test_a_plugin_without_a_survey_gets_no_third_argument(tmp_path):
    plugin = write_plugin(tmp_path)
    assert plugin.survey(make_study()).found == ()
    assert admit(plugin, make_study(), None).inputs is not None


def test_a_survey_that_raises_is_named(tmp_path):
    broken = replace(SURVEYED, files={"extras.py": SURVEY.replace("    return np.array", "    return 1 / 0, np.array")})
    plugin = write_plugin(tmp_path, broken)
    for read in (plugin.gate, plugin.preprocess, plugin.survey):
        with pytest.raises(PluginError, match="survey raised ZeroDivisionError"):
            read(grey())
