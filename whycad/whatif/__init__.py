"""What would have to change: regions and artefacts taken away, counterfactuals, adversarial fragility."""
