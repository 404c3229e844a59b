"""Everything here that uses a private name, a patch or a trick on napari, vispy or Qt.

Nothing else in the plugin does. Each function is small, takes plain arguments, and knows nothing of slides. Its
docstring says why it exists, in which version the private name was seen, which public way is missing, and what
happens without it: an optimisation that fails leaves the window slower, and never ends in an error. A test of each
removes the private name and shows that.
"""
