"""Spectra: of a signal, of its segments, and of filters."""
