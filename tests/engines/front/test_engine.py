from fvsearch.budgets import Budget
from fvsearch.engines import make_engine
from fvsearch.space import Space, StageSpace
from fvsearch.study import Objective, Proposer
from fvsearch.testing import EngineTestCase, tiny_study

TOP1, MEMORY = Objective(name="top1", direction="maximize"), Objective(name="memory", direction="minimize")
COSTS = (MEMORY, Objective(name="num_params", direction="minimize"), Objective(name="throughput", direction="maximize"))


def space_of(domains):
    """A space whose searched params are these."""

    def stage(index):
        fixed = {"depth": 1, "width": 64, "mlp_dim": 128, "pool_stride": 2 if index else 1}
        prefix = f"stages.{index}."
        return StageSpace(**(fixed | {path.removeprefix(prefix): choices for path, choices in domains.items() if path.startswith(prefix)}))

    whole = {path: choices for path, choices in domains.items() if "." not in path}
    stages = 1 + max((int(path.split(".")[1]) for path in domains if "." in path), default=0)
    return Space(name="domains", patch_size=2, stages=tuple(stage(index) for index in range(stages)), **whole)


class Conformance(EngineTestCase):
    objectives = (TOP1, MEMORY)
    # It does, but proposes nothing twice: of these 208 archs it has proposed what is feasible before the tests of the claim end.
    learns_feasibility = False

    @property
    def directions(self):
        return tuple(objective.direction for objective in self.objectives)

    def make(self, domains, directions, seed):
        study = tiny_study(space=space_of(domains), objectives=self.objectives, budget=Budget(), engine=Proposer(name="front"), seed=seed)
        return make_engine(study)


class TestTwoObjectives(Conformance):
    pass


class TestAccuracyAlone(Conformance):
    objectives = (TOP1,)


class TestFourObjectives(Conformance):
    objectives = (TOP1, *COSTS)
