"""Where the company works, with whom, with which people and vehicles, and what it hauls."""
