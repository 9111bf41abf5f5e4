"""The landing gate: takes queued submissions to `landed` or `refused`. Only this package moves main."""

from mcp_server.gate.loop import Gate

__all__ = ["Gate"]
