"""The process engine: a job as processes of this machine, watched by a supervisor that may be killed at any moment."""
