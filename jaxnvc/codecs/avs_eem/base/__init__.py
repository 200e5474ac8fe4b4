"""AVS-EEM v9.2 in full: every module and tool of the paper."""
