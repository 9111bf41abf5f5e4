"""Ways for any MCP client to reach the server: its configuration file, or a proxy on stdio."""
