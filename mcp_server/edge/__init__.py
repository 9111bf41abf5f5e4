"""What serves HTTP: MCP tools, git, the model proxy, egress and the people's and runners' API."""
