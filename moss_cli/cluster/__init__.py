"""One run over many inputs on a Ray cluster: a worker a GPU answers, the driver claims, writes and keeps journals."""
