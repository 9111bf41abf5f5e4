"""Tasks and leases: claim, renew, release, plan."""
