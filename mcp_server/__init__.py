"""The authority: tasks, leases, repositories, the landing gate and the audit log; it holds no Docker access."""
