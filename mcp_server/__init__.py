"""The authority: tasks, leases, repositories, the landing gate, the audit log. It holds no Docker access."""
