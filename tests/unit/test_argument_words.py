"""Sentences for planted numbers."""

import pytest

from whycad.argument_words import Place, Subject, finding_sentence, map_sentence, share
from whycad.manifest import Words
from whycad.map_mass import MassInside
from whycad.testing.plugins import write_plugin
from whycad.wording import cases_of

ASYMMETRY = Subject("Asymmetry of shape 9 %", Words(less="are more symmetric", more="are less symmetric"))


@pytest.mark.parametrize(
    ("leading", "other", "speaks_for", "sentence"),
    [
        ((0.6, 0.4), (0.93, 0.07), True, "Asymmetry of shape 9 %, above 93 % of nevi in the reference set."),
        ((0.1, 0.9), (0.2, 0.8), True, "Asymmetry of shape 9 %, below 80 % of nevi in the reference set."),
        ((0.05, 0.95), (0.6, 0.4), False, "Asymmetry of shape 9 %, below 95 % of melanomas in the reference set."),
        (
            (1.0, 0.0),
            (0.6, 0.4),
            False,
            "Asymmetry of shape 9 %, above more than 99 % of melanomas in the reference set.",
        ),
        (
            (0.41, 0.59),
            (0.7, 0.3),
            True,
            "Asymmetry of shape 9 %: 41 % of melanomas and 70 % of nevi are more symmetric.",
        ),
        (
            (0.41, 0.59),
            (0.3, 0.7),
            False,
            "Asymmetry of shape 9 %: 70 % of nevi and 59 % of melanomas are less symmetric.",
        ),
        (
            (0.0, 0.7),
            (0.0, 0.02),
            False,
            "Asymmetry of shape 9 %: 2 % of nevi and 70 % of melanomas are less symmetric.",
        ),
    ],
)
def test_a_finding_says_where_the_value_lies(leading, other, speaks_for, sentence):
    places = Place("melanomas", *leading), Place("nevi", *other)
    assert finding_sentence(ASYMMETRY, *places, speaks_for=speaks_for) == sentence


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "fewer than 1 %"), (0.004, "fewer than 1 %"), (0.5, "50 %"), (0.999, "more than 99 %")]
)
def test_a_share_is_never_a_bare_0_or_100(value, text):
    assert share(value) == text


def test_a_map_sentence_says_how_much_and_where():
    mass = MassInside(0.68, 0.9, 0.2, "at its upper edge")
    expected = (
        "68 % of the Grad-CAM map lies in the lesion (which takes 20 % of what the model saw), most of that at its "
        "upper edge."
    )
    assert map_sentence("gradcam", "lesion", mass) == expected
    spread = MassInside(0.12, 0.0, 0.2, "")
    assert map_sentence("ig", "lesion", spread).endswith("lies in the lesion, which takes 20 % of what the model saw.")


def test_cases_have_the_plural_that_the_task_gives_them(tmp_path):
    manifest = write_plugin(tmp_path).manifest
    assert cases_of("a", manifest) == "cases of “Label a”"
    named = manifest.labels[0].model_copy(update={"plural": "nevi"})
    assert cases_of("a", manifest.model_copy(update={"labels": (named, *manifest.labels[1:])})) == "nevi"
