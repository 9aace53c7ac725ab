"""Parts of a page that are used by several views."""
