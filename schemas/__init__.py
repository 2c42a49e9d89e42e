"""What flows between the stages, what lands in the tables, and the words they share."""
