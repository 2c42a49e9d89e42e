"""Pairs → copies; copies → stories."""
