"""What can be started as an agent: the kinds, a file each in kinds/, and what they have in common."""
