"""Git: the real git program, driven so that a job's code is exactly the commit that was asked for."""
