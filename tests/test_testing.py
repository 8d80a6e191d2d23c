import msgspec

from fvsearch.costs.formula import predict
from fvsearch.testing import tiny_arch, tiny_space, tiny_study


def test_the_tiny_records_belong_together():
    study = tiny_study()
    space = study.space
    assert space == tiny_space()
    assert space.contains(tiny_arch())
    assert space.contains(study.baseline)
    assert predict(study.baseline, image_shape=study.data.image_shape, num_classes=10, batch_size=1).num_params < 50_000
    assert space.size() == len(list(space.archs())) < 1000


def test_their_fields_can_be_changed():
    assert tiny_arch(patch_size=4).patch_size == 4
    assert tiny_space(name="other").name == "other"
    assert tiny_study(trials=9) == msgspec.structs.replace(tiny_study(), trials=9)
