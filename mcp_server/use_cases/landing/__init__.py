"""The way of a change to the gate, and the repositories' upkeep."""
