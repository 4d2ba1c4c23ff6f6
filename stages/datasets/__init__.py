"""The data sets: what is known of each, and how its files and labels are read."""
