"""Faults and load: crashes while writing, locks, resuming, determinism, memory, hostile input."""
