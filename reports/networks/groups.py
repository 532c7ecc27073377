"""Which published networks there are tables of."""

GROUPS = {
    "table": "the results table of the EfficientNet paper",
    "history": "convolutional networks from LeNet to ConvNeXt",
}
