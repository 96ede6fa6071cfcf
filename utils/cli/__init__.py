"""The command line: options, value types, one-line errors."""
