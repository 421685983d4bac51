"""Optimised programs of tapes: passes that rewrite a tape, and what runs the result."""
