"""Class names of data sets become codes of the task, or nothing."""

import pytest

from whycad.datasets.labels import label_code
from whycad.manifest import load_manifest


@pytest.fixture(scope="module")
def manifest(repo):
    return load_manifest(repo / "plugins" / "skin_lesion")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("mel", "mel"),
        ("MEL", "mel"),
        ("melanoma", "mel"),
        ("Melanoma", "mel"),
        ("seborrheic_keratosis", "bkl"),
        ("seborrheic keratosis", "bkl"),
        ("Seborrheic-Keratosis ", "bkl"),
        ("Basal cell carcinoma", "bcc"),
        ("nevus", "nv"),
        ("", ""),
        ("CNV", ""),
        ("0", ""),
        ("melan", ""),
    ],
)
def test_names_are_mapped(manifest, name, code):
    assert label_code(name, manifest) == code


def test_a_negative_number_names_no_class(repo):
    lung = load_manifest(repo / "plugins" / "lung_nodule")
    assert [label_code(name, lung) for name in ("0", "1", "-1", " - 1")] == ["benign", "malignant", "", ""]
