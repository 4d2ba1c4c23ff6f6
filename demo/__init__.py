"""Use the model: photos, folders, zip archives, videos, a camera, a page in the browser. No TensorFlow is needed."""
