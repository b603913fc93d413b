"""Tests of the Bayesian engine; they need PyMC."""
