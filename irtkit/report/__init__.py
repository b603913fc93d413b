"""Results -> self-contained HTML pages. Nothing is computed here, and nothing is fetched."""
