"""Figures, pure functions from numbers to matplotlib's, all in one style; and the environment of pages."""
