"""Clean articles → verified pairs of articles that share text."""
