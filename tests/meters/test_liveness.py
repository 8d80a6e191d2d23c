from dataclasses import dataclass, field

from fvsearch.meters.liveness import peak_bytes


@dataclass
class Shape:
    elements: int | None

    def num_elements(self) -> int | None:
        return self.elements


@dataclass
class DType:
    name: str = "float32"
    size: int = 4


@dataclass
class Tensor:
    name: str
    shape: Shape
    dtype: DType = field(default_factory=DType)


def tensor(name: str, elements: int | None, dtype: str = "float32") -> Tensor:
    return Tensor(name, Shape(elements), DType(dtype))


@dataclass
class Operation:
    type: str
    inputs: list[Tensor]
    outputs: list[Tensor]


X, A, B, C = tensor("x", 100), tensor("a", 10), tensor("b", 20), tensor("c", 5)
FEED = Operation("Placeholder", [], [X])


def test_a_tensor_lives_until_it_was_last_read() -> None:
    chain = [FEED, Operation("Mul", [X], [A]), Operation("Mul", [A], [B]), Operation("Mul", [B], [C])]
    assert peak_bytes(chain) == 4 * (10 + 20)


def test_a_tensor_that_is_read_late_is_alive_all_the_while() -> None:
    kept = [FEED, Operation("Mul", [X], [A]), Operation("Mul", [A], [B]), Operation("Mul", [B], [C]), Operation("Mul", [A, C], [])]
    assert peak_bytes(kept) == 4 * (10 + 20 + 5)


def test_an_output_of_the_graph_lives_to_the_end() -> None:
    chain = [Operation("Mul", [], [A]), Operation("Mul", [A], [B]), Operation("Mul", [], [C])]
    assert peak_bytes(chain) == 4 * (10 + 20)
    assert peak_bytes(chain, kept=[A, B]) == 4 * (10 + 20 + 5)


def test_what_nobody_reads_dies_at_once() -> None:
    assert peak_bytes([Operation("Mul", [], [A]), Operation("Mul", [], [B])]) == 4 * 20


def test_a_reshape_shares_its_input_s_memory_and_keeps_it_alive() -> None:
    flat = tensor("flat", 10)
    graph = [Operation("Mul", [], [A]), Operation("Reshape", [A], [flat]), Operation("Mul", [], [B]), Operation("Mul", [flat, B], [C])]
    assert peak_bytes(graph) == 4 * (10 + 20 + 5)


def test_variables_inputs_and_handles_are_not_the_step_s() -> None:
    handle = tensor("handle", 1000, "resource")
    assert peak_bytes([FEED, Operation("ReadVariableOp", [X], [A]), Operation("Gather", [A], [handle])], kept=[handle]) == 0


def test_an_unknown_shape_counts_nothing() -> None:
    assert peak_bytes([Operation("Where", [], [tensor("n", None)])]) == 0


def test_a_tensor_read_twice_by_one_operation_dies_once() -> None:
    graph = [Operation("Mul", [], [A]), Operation("Mul", [A, A], [C]), Operation("Mul", [C], [B])]
    assert peak_bytes(graph) == 4 * (5 + 20)


def test_what_an_operation_needs_inside_is_on_top_of_what_is_alive() -> None:
    graph = [Operation("Mul", [], [A]), Operation("If", [A], [C]), Operation("Mul", [C], [B])]
    needed = {"If": 4 * 100}
    assert peak_bytes(graph, inside=lambda operation: needed.get(operation.type, 0)) == 4 * (10 + 5 + 100)
