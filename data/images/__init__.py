"""Image files: formats, headers, geometry, and reading with checks."""
