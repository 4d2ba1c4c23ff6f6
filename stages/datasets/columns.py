"""The columns of merged.csv that only pictures have on which people voted."""

PEOPLE = "people"  # the emotion that more than half of them saw; "" for none
TARGET = "target_"  # and a class: its probability in what a network is to say of a training face
