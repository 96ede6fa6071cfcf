"""The documents, and the programs that write two of them: options.md and pipeline.png."""
