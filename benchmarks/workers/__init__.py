"""The programs that run in a tool's own process: one file a tool, `serving` for all."""
