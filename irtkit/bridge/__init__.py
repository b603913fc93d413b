"""The outside world and our nouns: predictions in, fine-tuning sets out."""
