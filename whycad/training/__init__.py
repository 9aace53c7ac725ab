"""What every plugin's ``train.py`` calls: augment, fit, calibrate, package."""
