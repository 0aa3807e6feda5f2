"""Images of a cohort: decoding and storage, outlines, marks, appearance, augmentation."""
