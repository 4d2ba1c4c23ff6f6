"""What lies on the disk, read and written the same on every machine."""
