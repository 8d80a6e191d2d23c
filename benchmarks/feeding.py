"""Images/s of the input pipeline alone: pictures of a given size in memory, cropped and altered as MoCo does, by number of threads.

nox -s bench -- feeding --backend jax --image-size 32 --batch-size 128
"""

import argparse
import itertools
import os
import time


def main() -> None:
    """Print a line for each augmentation and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="jax", choices=("jax", "tensorflow", "torch"))
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, after the first batches")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = options.backend

    import numpy as np

    from fvsearch.augmentation import Augmentation
    from fvsearch.data import ArrayPair
    from fvsearch.data.array_images import ArrayImages
    from fvsearch.recipe import Recipe
    from fvsearch.training.batches import TrainingBatches
    from fvsearch.training.stream import Stream

    wanted = {
        "nothing": Augmentation(),
        "crop": Augmentation(crop=(0.2, 1.0)),
        "Inception": Augmentation(crop=(0.05, 1.0), flip=True),
        "MoCo": Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True),
        "MoCo, mixup, cutmix": Augmentation(crop=(0.2, 1.0), grayscale=0.2, color_jitter=0.4, flip=True, mixup=0.2, cutmix=1.0),
    }
    size, batch = options.image_size, options.batch_size
    random = np.random.default_rng(0)
    pixels = random.uniform(-1, 1, (8 * batch, size, size, 3)).astype(np.float32)
    images = ArrayImages(ArrayPair(pixels, random.integers(100, size=8 * batch).astype(np.int32)))
    print(f"{options.backend}, {size}x{size}x3, batches of {batch}: images/s by threads")
    for name, augmentation in wanted.items():
        batches = TrainingBatches(images, Recipe(epochs=1, batch_size=batch, augmentation=augmentation), 0, 100)
        rates = []
        for threads in options.threads:
            with Stream(batches, range(10**6), batch_bytes=pixels[:batch].nbytes, threads=threads) as stream:
                taken = stream.take(10**6)
                # What is compiled, and what lies ready by then, does not count.
                for _ in range(4 * threads):
                    next(taken)
                start = time.perf_counter()
                count = next(count for count in itertools.count(1) if next(taken) and time.perf_counter() - start > options.seconds)
                rates.append(count * batch / (time.perf_counter() - start))
        print(f"{name:20} " + "  ".join(f"{threads}: {rate:,.0f}" for threads, rate in zip(options.threads, rates, strict=True)))


if __name__ == "__main__":
    main()
