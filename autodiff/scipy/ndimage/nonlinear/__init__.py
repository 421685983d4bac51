"""Filters that choose among neighbours, and what is measured in labelled regions."""
