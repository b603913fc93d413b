"""The Bayesian engine: the same models, their full posterior instead of one best point."""
