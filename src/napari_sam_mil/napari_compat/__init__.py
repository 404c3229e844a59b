"""All private names, patches and tricks on napari, vispy and Qt that the plugin uses.

No other module uses any. Each function is small, takes plain arguments, and knows nothing of slides. Its docstring
says why it exists, in which version the private name was seen, which public API is missing, and what happens
without it: an optimisation that fails leaves the window slower, and never raises an error. A test of each function
removes the private name and checks this.
"""
