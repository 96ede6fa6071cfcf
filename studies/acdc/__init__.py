"""Study of few references and many scans: cine MR of the heart, ACDC."""
