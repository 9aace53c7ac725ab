"""Seven-class dermoscopy: actinic keratosis to vascular lesion."""
