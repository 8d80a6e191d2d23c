"""What a posterior says, as plain data."""

from fvsearch.records import Record


class Belief(Record, frozen=True, kw_only=True):
    """What is believed of a trained arch.

    Attributes:
        mean: Of its own value: what its trainings would come to on average, over many seeds.
        low, high: Between which that lies with 95% probability, as far as the surrogate is right.
        trainings: Of this arch, by which it is known directly.
        on_front: Probability that it is on the front of all that was trained within the budget; none where it is not within it.
    """

    mean: float
    low: float
    high: float
    trainings: int
    on_front: float | None = None


class Posterior(Record, frozen=True, kw_only=True):
    """What is believed of a study's trials.

    Attributes:
        objective: That it is of: the one that training tells.
        noise: Standard deviation of one training about its arch's own value, as learned.
        trials: By number, of all that were trained to the end.
    """

    objective: str
    noise: float
    trials: dict[int, Belief]
