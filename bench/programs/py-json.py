"""JSON: makes nested documents, writes them as text, reads them back, changes them."""
import json


def document(seed):
    items = []
    for i in range(400):
        seed = (seed * 1103515245 + 12345) % 2**31
        items.append(
            {
                "id": seed,
                "name": f"item number {i} of {seed % 1000}",
                "price": seed / 7.0,
                "tags": [f"tag{(seed >> k) % 50}" for k in range(seed % 6)],
                "nested": {"deep": {"deeper": [i, None, True, {"x": str(seed)}]}},
            }
        )
    return {"seed": seed, "items": items}


def main():
    kept = []
    size = 0
    for round_ in range(220):
        text = json.dumps(document(round_), sort_keys=True)
        data = json.loads(text)
        for item in data["items"][::3]:
            item["tags"] = sorted(set(item["tags"]))
        size += len(json.dumps(data, indent=1 if round_ % 10 == 0 else None))
        kept.append(data)
        if len(kept) > 25:
            kept.pop(round_ % 25)
    print(size, sum(item["id"] for data in kept for item in data["items"]))


main()
