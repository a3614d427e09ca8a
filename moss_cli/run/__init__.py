"""One job over many inputs."""
