"""Inputs of every format → raw blocks."""
