"""The names of the splits."""

SPLITS = ("train", "validation", "test")  # ours, whatever the data set's own; of twins, the copy in a later one stays
EXTRA = "extra"  # in place of train: faces of `extra_classes`, which pretrain alone is shown
OFFICIAL = ("training", "validation")  # those of AI-Hub 82
