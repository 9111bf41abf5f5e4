"""The pure heart of the server: values in, values out, `now_ms` an argument; it imports nothing that acts."""
