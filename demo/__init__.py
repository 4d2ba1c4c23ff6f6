"""Use the model: photos, folders, zips, videos, a camera, a page. All but ship.py does without TensorFlow."""
