"""Where the time goes: `python -m benchmarks.learning_speed --data <folder> --version <version folder>`.

Training images/s on ready tensors and through the input pipeline, in bfloat16 and float32; images/s predicted
against the bare network; the share of each part of a training step and of a prediction; resident memory.
Appends one line to benchmarks/results/learning_speed.jsonl.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from backend.core.geometry.instances import ImageSize
from benchmarks.data_sets import SETS, load_samples
from benchmarks.live_service import append_result


def training_rates(root, name, steps):
    from backend.nn.detector.architecture import Architecture
    from backend.nn.detector.heads.catalog import HEADS
    from backend.nn.detector.network import InstanceNetwork
    from backend.nn.runtime.precision import is_bf16_faster
    from backend.training.detector.batches import BatchLoader, plan_epoch, sampling_weights
    from backend.training.detector.images import load_images
    from backend.training.detector.loop import LearningData, TrainingLoop
    from backend.training.parameters import TrainingParams
    from backend.training.recipe import RECIPE, plan_training

    samples, config, _ = load_samples(root, name, "train100")
    images = load_images(samples, 416, Path(tempfile.mkdtemp())).images
    plan = plan_training(TrainingParams(), len(images), RECIPE, goes_on=False)
    labels = tuple(config.labels)
    taught = [image.target for image in images]
    heads = tuple(head for head in HEADS if head.is_wanted(TrainingParams().as_dict(), taught))
    data = LearningData(images, [], np.ones(len(labels), np.float32), sampling_weights(images))

    class Quiet:
        on_epoch = on_judging = on_warning = staticmethod(lambda *_: None)
        stop_requested = staticmethod(lambda: None)

    loop = TrainingLoop(
        InstanceNetwork(Architecture("resnet18", 416, len(labels), heads)),
        labels, data, plan, Quiet(), device="cpu", use_bf16=is_bf16_faster("cpu"), seed=0,
        checkpoint_folder=Path(tempfile.mkdtemp()), fingerprint="",
    )  # fmt: skip
    plans = plan_epoch(
        images, plan, epoch=plan.epochs - 10, seed=0, batch_size=8, is_square=False,
        sampling_weights=data.sampling_weights,
    )[:steps]  # fmt: skip
    loader = BatchLoader(images, RECIPE.augmentation, len(labels), heads)
    loop.network.train()
    ready = list(loader.batches(plans))
    count = sum(len(b.images) for b in ready)
    for batch in ready[:2]:
        loop._step(batch, 40.0)
    rates = {"ready": [], "pipeline": []}
    for _ in range(2):  # alternating, so that a busy neighbour hits both
        started = time.perf_counter()
        for batch in ready:
            loop._step(batch, 40.0)
        rates["ready"].append(count / (time.perf_counter() - started))
        started = time.perf_counter()
        for batch in loader.batches(plans):
            loop._step(batch, 40.0)
        rates["pipeline"].append(count / (time.perf_counter() - started))
    started = time.perf_counter()
    list(loader.batches(plans))
    building = count / (time.perf_counter() - started)
    best = {k: max(v) for k, v in rates.items()}
    profile = step_profile(loop, ready[0])
    loop.use_bf16 = not loop.use_bf16
    started = time.perf_counter()
    for batch in ready[: steps // 2]:
        loop._step(batch, 40.0)
    other = sum(len(b.images) for b in ready[: steps // 2]) / (time.perf_counter() - started)
    return {
        "precision": "float32" if loop.use_bf16 else "bfloat16",
        "train_images_per_s_ready_other_precision": round(other, 2),
        "train_images_per_s_ready": round(best["ready"], 2),
        "train_images_per_s_pipeline": round(best["pipeline"], 2),
        "pipeline_share": round(best["pipeline"] / best["ready"], 3),
        "views_built_per_s": round(building, 1),
        "profile": profile,
    }


def step_profile(loop, batch):
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as prof:
        loop._step(batch, 40.0)
    events = sorted(prof.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(e.self_cpu_time_total for e in events)
    return {e.key: round(e.self_cpu_time_total / total, 3) for e in events[:12]}


def prediction_rates(root, name, version):
    from backend.nn.detector.predictor import batch_size_for, load_predictor
    from backend.nn.runtime.threads import run_side_by_side

    started = time.perf_counter()
    predictor = load_predictor(version)
    loading = time.perf_counter() - started
    images = [s.load_rgb() for s in load_samples(root, name, "val")[0]]
    predictor.predict(images[:8], confidence_threshold=0.3, nms_threshold=0.4)
    out = {"load_predictor_s": round(loading, 2)}
    batches = ready_batches(predictor, images, batch_size_for(len(images), torch.get_num_threads()))
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        run_side_by_side(predictor.run, batches, torch.get_num_threads())
        best = min(best, time.perf_counter() - started)
    out["bare_network_images_per_s"] = round(len(images) / best, 1)
    for cut in (0.3, 0.01):
        fastest = 0.0
        for _ in range(2):
            started = time.perf_counter()
            predictor.predict(images, confidence_threshold=cut, nms_threshold=0.4)
            fastest = max(fastest, len(images) / (time.perf_counter() - started))
        out[f"images_per_s_at_{cut}"] = round(fastest, 1)
    return out


def ready_batches(predictor, images, most):
    """Return the images as the network's inputs, uint8 [N, H, W, 3], `most` of one shape together."""
    from backend.core.geometry.letterbox import Letterbox
    from backend.nn.detector.predictor import batches_of_one_shape, net_size

    sizes = [ImageSize(image.shape[1], image.shape[0]) for image in images]
    boxes = [Letterbox.fit(size, net_size(size, predictor.architecture)) for size in sizes]
    return [
        torch.from_numpy(np.stack([boxes[i].image_to_net(images[i]) for i in batch]))
        for batch in batches_of_one_shape(boxes, most)
    ]


def prediction_profile(root, name, version):
    """Return the share of each part in predicting all validation images on one thread, four at a time.

    The first pass warms up. Parts as in `Predictor.predict`, with reading the file before and Label
    Studio's results (RLE, polygons) after.
    """
    from backend.core.geometry.letterbox import Letterbox
    from backend.core.labelstudio.annotations import annotated_task
    from backend.core.labelstudio.predictions import detections_to_results
    from backend.nn.detector.heads.serving import Found, Request
    from backend.nn.detector.predictor import load_predictor, net_size
    from backend.nn.runtime.threads import one_thread

    samples, config, tasks = load_samples(root, name, "val")
    predictor = load_predictor(version)
    request = Request(0.3, 0.4)
    thresholds = {control.name: 0.3 for control in config.controls}
    rng = np.random.default_rng(0)
    with one_thread():
        for _ in range(2):
            spent, since = {}, time.perf_counter()

            def took(part, spent=spent):
                nonlocal since
                now = time.perf_counter()
                spent[part] = spent.get(part, 0.0) + now - since
                since = now

            for first in range(0, len(samples), 4):
                group = [s.load_rgb() for s in samples[first : first + 4]]
                took("reading and decoding")
                originals = [ImageSize(image.shape[1], image.shape[0]) for image in group]
                sizes = [net_size(size, predictor.architecture) for size in originals]
                boxes = [Letterbox.fit(*pair) for pair in zip(originals, sizes, strict=True)]
                for size in set(sizes):
                    mine = [k for k, other in enumerate(sizes) if other == size]
                    net_input = torch.from_numpy(np.stack([boxes[k].image_to_net(group[k]) for k in mine]))
                    took("letterbox")
                    outputs = predictor.run(net_input)
                    took("network")
                    found = [Found.nothing(boxes[k]) for k in mine]
                    for head, serving in predictor.serving.items():
                        found = head.decode(serving, outputs, found, request)
                        took(head.name)
                    for one, k in zip(found, mine, strict=True):
                        page = annotated_task(tasks[first + k], config).pages[0].page
                        detections_to_results(
                            one.detections(), predictor.labels, config, page, thresholds, rng
                        )
                        took("results of Label Studio")
    total = sum(spent.values())
    return {
        "seconds": round(total, 2),
        **{part: round(s / total, 3) for part, s in sorted(spent.items(), key=lambda x: -x[1])},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="bccd")
    parser.add_argument("--version", type=Path, help="version folder; without it only training is measured")
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args()
    out = {
        "set": args.set,
        "command": f"python -m benchmarks.learning_speed --data DATA --set {args.set} --version KEPT",
    }
    if args.version:
        out.update(prediction_rates(args.data, args.set, args.version))
        out["prediction_profile"] = prediction_profile(args.data, args.set, args.version)
    if args.steps:
        out.update(training_rates(args.data, args.set, args.steps))
    out["rss_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    append_result("learning_speed", out)


if __name__ == "__main__":
    main()
