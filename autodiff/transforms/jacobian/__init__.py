"""Jacobians and Hessians: the problem, the decision on an order, and the sweeps."""
