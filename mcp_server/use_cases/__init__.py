"""What the server does: each use case loads, lets the core decide, writes and records, in one transaction."""
