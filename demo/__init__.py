"""Use the model: photos, folders, zips, videos, a camera, a page in the browser. All but ship.py needs no TensorFlow."""
