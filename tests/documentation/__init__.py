"""The documentation: its code runs, its reference is complete, its site builds."""
