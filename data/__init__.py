"""Cases on disk, image files and geometry, resampling and its inverse, patches, augmentation, soft labels, phantom."""
