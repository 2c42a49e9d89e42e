"""Raw blocks → clean articles, furniture set aside."""
