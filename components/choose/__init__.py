"""Chooses the best point of a sweep, by the validation tasks."""
