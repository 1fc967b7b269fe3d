"""The engine that carries a plan out as a pod of a cluster. Manifests are plain data, made by pure functions."""
