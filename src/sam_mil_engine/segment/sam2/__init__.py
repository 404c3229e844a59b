"""SAM 2.1 (Ravi et al., arXiv:2408.00714) for still images, on the package ``transformers``."""
