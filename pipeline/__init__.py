"""The graphs, the command line, the commit, the report."""
