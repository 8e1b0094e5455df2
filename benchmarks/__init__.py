"""The commands behind the published numbers of docs/results.md."""
