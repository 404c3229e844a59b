"""A slide becomes a bag with features and groups: the project folder, the stages, one slide, many slides."""
