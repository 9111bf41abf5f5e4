"""What agents share besides code: notes, progress and reports."""
