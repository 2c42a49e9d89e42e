"""The stages: read, clean, match, cluster, write."""
