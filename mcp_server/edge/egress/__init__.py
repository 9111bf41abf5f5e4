"""The way from a door to the few places outside that tools may need."""
