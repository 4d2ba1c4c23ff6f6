"""Use the model: photos, folders, zips, videos, a camera, a page. None of it needs TensorFlow."""
