"""Hessians by edge pushing: second derivatives on the tape, each pair of values once."""
