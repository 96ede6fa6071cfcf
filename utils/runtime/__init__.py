"""The machine: processes, devices, threads, memory, signals, figures."""
