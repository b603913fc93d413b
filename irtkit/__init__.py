"""irtkit: Item Response Theory, and a bridge from it to machine learning."""
