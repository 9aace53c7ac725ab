"""The written audit: HTML, PDF, Markdown and CSV, all from the JSON that an audit leaves."""
