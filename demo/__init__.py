"""Use the model: photos, folders, zips, videos, a camera, a page in the browser. But for ship.py no TensorFlow is needed."""
