"""From raw face photos to an emotion model for Korean faces: each file here is one stage of dvc.yaml."""
