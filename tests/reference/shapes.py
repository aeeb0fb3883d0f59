"""The table of parameters, from the specification alone: name -> shape."""


def parameter_shapes(model):
    C = model["width"]
    Cq, F, V = int(C * model["query_key"]), int(C * model["feedforward"]), model["vocabulary"]
    shapes = {"start": [C], "token_embedding.weight": [V, C]}
    for j, extent in enumerate(model["positions"]):
        shapes[f"position_embedding.{j}.weight"] = [extent, C]
    for order in model.get("hash_orders", []):
        shapes[f"hash_embedding.{order}.weight"] = [model["hash_buckets"], C]
    if model.get("convolution", 0) > 0:
        shapes["token_convolution.weight"] = [model["convolution"], C]
    for k in range(model["layers"]):
        block = f"blocks.{k}."
        for norm in ("attention_norm", "feedforward_norm"):
            shapes[f"{block}{norm}.weight"] = shapes[f"{block}{norm}.bias"] = [C]
        linears = {
            "attention.query": (Cq, C), "attention.key": (Cq, C), "attention.value": (C, C),
            "attention.projection": (C, C), "feedforward.expand": (F, C), "feedforward.contract": (C, F),
        }  # fmt: skip
        for name, (rows, columns) in linears.items():
            shapes[f"{block}{name}.weight"], shapes[f"{block}{name}.bias"] = [rows, columns], [rows]
    shapes["final_norm.weight"] = shapes["final_norm.bias"] = [C]
    shapes["output.weight"] = [V, C]
    return shapes
