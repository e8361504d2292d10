"""Datasets made from clean photos and clips: degradation, labels, augmentation."""
