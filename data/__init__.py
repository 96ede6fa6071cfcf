"""Case folders, image files and geometry, resampling and its inverse, patches, augmentation, soft labels, phantoms."""
