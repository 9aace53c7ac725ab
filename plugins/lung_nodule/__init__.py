"""Lung nodules on CT: suspicion of malignancy, radiologists' descriptors, outline."""
