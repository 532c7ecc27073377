"""Pictures with objects marked in them: what detectors and segmenters are trained on, and how."""
