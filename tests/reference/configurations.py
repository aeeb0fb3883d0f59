"""Models that between them have every feature of the network; of each, what it sets over program.TINY."""

CONFIGURATIONS = {  # name: settings over TINY. Contexts that strides do not divide, strides that heads do not divide
    "fixed": dict(model__attention="fixed(11,3)"),
    "strided": dict(model__attention="strided(9)", model__context=97),
    "interleaved": dict(model__attention=["row(13)", "summary(13,2)", "previous_row(13) | window(3)"], model__layers=3),
    "multi-head": dict(
        model__attention=[["local(7)", "column(8)", "fixed(10,3)"], ["prefix(5) | window(4)", "digits(4,2)"]],
        model__query_key=0.5, model__feedforward=2, model__positions=[5, 7, 3],
    ),
    "hashed": dict(model__hash_orders=[2, 3, 5], model__hash_buckets=89, model__attention=["window(5)", "column(6)"]),
    "convolved": dict(model__convolution=4, model__attention="fixed(9,2)"),
    "dense": dict(model__attention="dense", model__context=64, model__positions=[64]),
}  # fmt: skip
