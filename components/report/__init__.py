"""The report step: one page for a run, and the table the launcher prints."""
