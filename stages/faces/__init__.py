"""Find a face in a photo and cut it out."""
