"""The images that boxes start from."""
