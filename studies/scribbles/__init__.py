"""Study of sparse references: scribbles for cine MR of the heart, ACDC."""
