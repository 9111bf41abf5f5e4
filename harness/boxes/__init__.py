"""The only door to containers: boxes, volumes, sandboxes and their hardening."""
