"""Sweeps: a training per point of a space of parameters, and the best by the validation tasks."""
