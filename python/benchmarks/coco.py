"""Annotations like those of the COCO data set, made from a seed: what people read in loader workers.

Each is a dict as `json.loads` would have made it: the keys are the same str objects in all rows, everything else is a
separate object.
"""

from __future__ import annotations

import random
from typing import Any

COUNT = 860_000  # as many as the instances of COCO's train2017
CATEGORIES = ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light")


def make_rows(count: int = COUNT, seed: int = 17) -> list[dict[str, Any]]:
    """A list of `count` dicts with ints, floats, strs, lists of floats and a nested dict."""
    chance = random.Random(seed)
    some, pick = chance.random, chance.randrange
    rows = []
    for number in range(count):
        x, y, w, h = (some() * 640, some() * 480, some() * 200, some() * 200)
        points = [round(some() * 640, 2) for _ in range(2 * pick(4, 24))]
        rows.append(
            {
                "id": 900_100_000_000 + number,
                "image_id": pick(10**9),
                "category_id": pick(1, 91),
                "category": "".join(CATEGORIES[number % len(CATEGORIES)]),
                "file_name": f"train2017/{pick(10**12):012d}.jpg",
                "bbox": [x, y, w, h],
                "area": w * h,
                "segmentation": [points],
                "iscrowd": 0,
                "attributes": {"occluded": bool(number & 1), "score": some(), "source": f"annotator-{pick(10**6)}"},
            }
        )
    return rows


def read_every_field(rows: Any) -> float:
    """Reads every field of every row, down to the last number; returns a sum over all of them."""
    total = 0.0
    for row in rows:
        box, attributes = row["bbox"], row["attributes"]
        total += row["id"] + row["image_id"] + row["category_id"] + row["area"] + row["iscrowd"]
        total += len(row["category"]) + len(row["file_name"]) + len(attributes["source"])
        total += box[0] + box[1] + box[2] + box[3] + attributes["score"] + attributes["occluded"]
        for polygon in row["segmentation"]:
            total += sum(polygon)
    return total
