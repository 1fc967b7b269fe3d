"""What the parts of a pod are made with: the plan, the cluster, and what is collected on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from tieline.engines.kubernetes.names import container_names
from tieline.engines.kubernetes.projected import Projected, projected_of
from tieline.engines.kubernetes.reach import Wanted, required
from tieline.engines.kubernetes.settings import Cluster
from tieline.engines.kubernetes.users import User, user_of
from tieline.engines.kubernetes.values import Known
from tieline.engines.kubernetes.volumes import Volumes
from tieline.errors import Code, Place, Problem
from tieline.model.plan import Plan
from tieline.secrets.masking import named_secrets, secrets_in


@dataclass(slots=True)
class Building:
    """One pod that is being made. ``required``: what must be there; ``maskable``: the secrets that the plan names;
    ``projected``: the binding directories that are volumes; ``problems``: why it cannot be."""

    plan: Plan
    cluster: Cluster
    known: Known
    user: User
    names: dict[str, str]
    text: str  # the plan as JSON
    required: frozenset[Wanted]
    maskable: tuple[str, ...]
    projected: dict[str, Projected]
    volumes: Volumes = field(default_factory=Volumes)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan, cluster: Cluster, known: Known) -> Building:
        text = plan.model_dump_json(by_alias=True, exclude_none=True)
        named = named_secrets(plan) if plan.notifications else secrets_in(text)
        user = user_of(plan)
        projected = projected_of(plan, known, user)
        return cls(plan, cluster, known, user, container_names(plan), text, required(plan), named, projected)

    @property
    def written(self) -> tuple[str, ...]:
        """The connections whose binding directories the first of Tieline's own containers writes."""
        return tuple(one.connection for one in self.plan.bindings if one.connection not in self.projected)

    @property
    def ends_sidecars(self) -> bool:
        """Whether the collector has to end the user's sidecars: where the cluster does not, a job would never end."""
        plan = self.plan
        return bool(plan.sidecars) and plan.service is None and not self.cluster.native_sidecars

    def refuse(self, code: Code, field_: str, message: str, hint: str) -> None:
        problem = Problem(code, message, hint, Place(field=field_))
        if problem not in self.problems:
            self.problems.append(problem)
