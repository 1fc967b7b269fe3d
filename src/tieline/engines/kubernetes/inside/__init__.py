"""What runs inside of a run's pod: Tieline's own steps before the job, and the collector beside it.

Started as ``python -m tieline.engines.kubernetes.inside``, from the image of Tieline's own containers. It knows the
plan, the folders that the manifests mount and its own pod; it asks the cluster for that pod's state and logs only.
"""
