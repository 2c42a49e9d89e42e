"""Labelled articles → staged Parquet files."""
