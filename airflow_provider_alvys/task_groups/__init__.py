"""Task groups that sync many streams."""
