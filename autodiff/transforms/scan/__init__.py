"""Loops as one operation: the body of a step, the operation, its derivatives, their schedules."""
