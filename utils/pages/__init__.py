"""HTML pages that need neither a server nor another file: style, tables, charts."""
