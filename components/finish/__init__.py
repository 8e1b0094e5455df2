"""The step that runs last, whatever became of the others."""
