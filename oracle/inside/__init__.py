"""What runs inside a box: the standard library only, copied in as it stands."""
