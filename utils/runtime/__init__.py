"""Runtime: processes, devices, precision, threads, memory, stop signals, figures."""
