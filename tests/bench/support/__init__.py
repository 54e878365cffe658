"""What benchmarks share: timers and large inputs."""
