"""Health: liveness, readiness and metrics of a process."""
