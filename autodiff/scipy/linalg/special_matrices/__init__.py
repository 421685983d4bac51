"""Matrices put together from others or from vectors, and systems with those that are structured."""
