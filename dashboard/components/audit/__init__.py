"""Parts of the Audit view."""
