"""The MCP tools and resources."""
