"""Figures: pure functions from numbers to pictures, all in one style."""
